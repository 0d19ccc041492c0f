"""Export to formats that serve a trained model."""
