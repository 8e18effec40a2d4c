"""What every command shares: its options, and the settings and user that it runs with."""
