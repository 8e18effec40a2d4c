"""Floor 1: events become a customer's context."""
