"""Readers of data that others measured and published, one module per kind of data."""
