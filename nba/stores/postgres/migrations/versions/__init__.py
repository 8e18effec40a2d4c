"""One file per revision, plain SQL, both ways."""
