"""Data: from files, manifests and data sets to arrays of upright RGB images."""
