"""The journey file: read, checked, compared and summed up, errors at their line."""
