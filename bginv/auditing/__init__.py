"""The diagnosis: whether a model looks at the background, without training."""
