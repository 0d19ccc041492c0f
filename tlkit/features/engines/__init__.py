"""Inference backends for the frozen part of a network: one engine per file.

Each is a function from a functional Keras model to its compiled form, which maps
images `(n, height, width, channels)` to a list of float32 arrays.
"""
