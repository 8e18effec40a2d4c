"""Floor 0: the nouns, the rules, the two loops, the log and the measurements."""
