"""The journey file: loading, checks with the line of every error, comparison, summary."""
