"""Tensor mathematics that imports nothing else of the package."""
