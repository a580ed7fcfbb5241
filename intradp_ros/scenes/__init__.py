"""Where images come from: sources of camera frames."""
