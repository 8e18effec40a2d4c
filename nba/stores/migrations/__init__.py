"""The log's tables, revision by revision, for Alembic; run by `nba.stores.schema.migrate`."""
