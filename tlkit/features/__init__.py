"""What is frozen is computed once: where a network is cut, and the features there."""
