"""Health of the loop: daily records of the log and the checks on them."""
