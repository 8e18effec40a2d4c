"""What may be offered, to whom, when and how often."""
