"""Learning online: settled outcomes become the next version of the policy."""
