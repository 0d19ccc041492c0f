"""The frozen part of a network, computed once: where to cut, and the features there."""
