"""A simulated bank whose truth is known."""
