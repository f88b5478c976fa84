"""The engine that needs nothing but this process."""

DATABASE = "papercopy.sqlite3"
"""The store's file in a data folder."""
