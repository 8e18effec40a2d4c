"""What another policy would have been worth, from logged propensities."""
