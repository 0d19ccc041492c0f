"""Export: formats that serve a trained model."""
