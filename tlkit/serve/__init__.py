"""Serve: an exported model over HTTP, for experiments, demos and small installations."""
