"""Logged decisions, decided again by two versions of the journey file."""
