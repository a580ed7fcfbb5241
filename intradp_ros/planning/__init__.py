"""How a frame should be split: estimates of the link and the rules that use them."""
