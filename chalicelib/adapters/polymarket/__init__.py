"""Polymarket's public HTTP and WebSocket interfaces, translated into the domain's terms."""
