"""Replay: a recorded or simulated period through the services of production, in virtual time."""
