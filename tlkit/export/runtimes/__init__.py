"""One file a runtime, each with `load(path)` that gives a function from a batch to probabilities.

They import neither tlkit nor one another: the proof of an export runs their source by itself.
"""
