"""The log and its stores: one protocol, two implementations."""
