"""What the owner declares, as types: the map, actions, policies, sub-journeys."""
