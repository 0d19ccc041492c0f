"""Heads: from the backbone's feature map to logits, one file per head."""
