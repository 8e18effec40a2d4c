"""Commands for product owners: check, publish, experiment, report."""
