"""The attention-guided baseline of Cruz et al. 2020, and AG-CNN (Guan et al. 2018)."""
