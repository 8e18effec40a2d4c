"""Commands for operators: serve, ingest, export, deliveries."""
