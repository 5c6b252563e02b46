"""Photographs and a pretrained network: a new head first, then the whole, on other backgrounds."""
