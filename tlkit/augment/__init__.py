"""Random changes to training images, one registration each."""
