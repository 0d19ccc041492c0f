"""Training: stages, the loop, what it shows and what it saves."""
