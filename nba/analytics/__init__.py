"""What the log tells people: monitoring, journeys, the price of rules."""
