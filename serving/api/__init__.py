"""What each request does, from its schema to its answer, whatever the protocol."""
