"""Evaluation: figures about predictions."""
