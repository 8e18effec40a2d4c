"""The compiled fold: one pass over a customer's rows, their state as one array."""
