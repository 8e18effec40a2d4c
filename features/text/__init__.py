"""Texts of events as valences, by a model trained on the deployment's own texts."""
