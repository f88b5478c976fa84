"""The two engines on one machine: embedded, and the production topology in a moto server."""
