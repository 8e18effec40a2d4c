"""Journeys in figures: friction, and how emotion goes with loss."""
