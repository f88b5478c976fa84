"""One use case per module, on ports only."""
