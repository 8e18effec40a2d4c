"""Floor 3: HTTP, command line, background work, settings; nothing imports it."""
