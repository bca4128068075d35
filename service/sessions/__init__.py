"""What the service remembers of each session, and where."""
