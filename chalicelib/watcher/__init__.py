"""The always-on process that listens to the leaders' fills on Polygon."""
