"""Experiments on customers: plan, arms, metrics, results, shipping."""
