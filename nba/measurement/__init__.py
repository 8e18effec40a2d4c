"""Journeys, experiments and policies, measured on the log."""
