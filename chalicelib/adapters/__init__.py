"""Ports implemented, each adapter named by its technology."""
