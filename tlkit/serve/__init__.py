"""Serve: an exported model over HTTP, for trying, for demos and for small installations."""
