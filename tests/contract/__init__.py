"""One behaviour per port, held against every adapter of it."""
