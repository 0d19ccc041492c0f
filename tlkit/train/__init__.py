"""Training: stages, the loop, its output and its checkpoints."""
