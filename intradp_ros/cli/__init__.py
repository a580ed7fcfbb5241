"""The `intradp` command, free of ROS: one module a sub-command."""
