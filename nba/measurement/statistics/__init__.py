"""Estimates, intervals, sequences and tests, each from its source."""
