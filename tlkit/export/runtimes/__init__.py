"""One file per runtime, each with `load(path)`: returns a function from batch to probabilities.

They import neither tlkit nor one another: the check of an export runs their source on its own.
"""
