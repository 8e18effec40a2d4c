"""The deployment's own words: a model of texts, and what it makes of a new one."""
