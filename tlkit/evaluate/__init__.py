"""Evaluation: predictions and their explanation."""
