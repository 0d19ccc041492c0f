"""What runs the frozen part of a network: one engine a file.

Each is a function of a functional Keras model that gives its compiled pass, a
function from images `(n, height, width, channels)` to a list of float32 arrays.
"""
