"""What happened: events, the signals read from them, how each kind feels."""
