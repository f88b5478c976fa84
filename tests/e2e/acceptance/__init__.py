"""Acceptance scenes: the same stories on both engines and in replay."""
