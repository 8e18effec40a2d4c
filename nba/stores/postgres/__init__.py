"""The log in PostgreSQL, a private server included."""
