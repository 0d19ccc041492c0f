"""Command line: one file per command; only commands that need TensorFlow import it."""
