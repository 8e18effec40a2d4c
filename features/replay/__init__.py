"""Contexts as they were: from the log and from exported files, on one machine or on Spark."""
