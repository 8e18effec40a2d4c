"""The rule language: read, checked and evaluated over one customer or many."""
