"""Floor 3: the doors: HTTP, pages, command line, settings, composition root."""
