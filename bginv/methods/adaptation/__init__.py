"""Adaptation of a segmentation network in its output space (AdaptSegNet, Tsai et al. 2018)."""
