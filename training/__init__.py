"""Floor 2: the log becomes the next bundle."""
