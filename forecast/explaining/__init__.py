"""A look inside a model."""
