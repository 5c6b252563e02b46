"""End-to-end adversarial erasing (EADER, Stammes et al. 2020)."""
