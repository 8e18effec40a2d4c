"""The log's tables, revision by revision, for Alembic; `postgres.schema.migrate` runs them."""
