"""Background invariance by adversarial learning (Cruz et al. 2020)."""
