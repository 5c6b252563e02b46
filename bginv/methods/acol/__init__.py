"""Adversarial complementary learning (ACoL, Zhang et al. 2018)."""
