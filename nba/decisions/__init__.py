"""What is asked of a decision and what is logged of it."""
