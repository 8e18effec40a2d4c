"""Background work: learning, deliveries, sub-journeys, guardrails, health."""
