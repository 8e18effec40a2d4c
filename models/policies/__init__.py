"""Policies, one a file: how we draw among candidates, with exact probabilities."""
