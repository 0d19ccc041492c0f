"""Runs: their folders, the workflow from recipe to model, and the use of finished runs."""
