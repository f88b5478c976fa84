"""The engine that needs nothing but this process."""
