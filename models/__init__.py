"""Floor 1: a context becomes scores and draws."""
