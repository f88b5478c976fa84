"""Operator commands: files in, JSON lines out. One module per command; each offers `run(argv)`."""
