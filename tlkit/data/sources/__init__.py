"""Data sources, one file per source."""
