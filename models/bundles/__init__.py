"""Bundles: the models that serve together, as files, in MLflow and loaded to score."""
