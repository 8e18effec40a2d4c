"""How events and words feel, learned from the log."""
