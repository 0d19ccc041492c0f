"""The command line: one file a command; TensorFlow is imported only by those that need it."""
