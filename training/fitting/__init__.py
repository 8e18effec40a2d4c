"""Fitting: recipes, estimators, search, warm start, export."""
