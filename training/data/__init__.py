"""Training rows: contexts, labels and rewards out of the replayed log."""
