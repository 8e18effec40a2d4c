"""One serving process: what is in force and how it is assembled."""
