"""Jobs of their own: batch decisions, imports, the demo, the server process."""
