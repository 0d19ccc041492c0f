"""Backbones: pretrained networks by name."""
