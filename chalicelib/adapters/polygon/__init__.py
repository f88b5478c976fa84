"""Polygon over JSON-RPC."""
