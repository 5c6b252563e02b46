"""Adversarial complementary learning: classifiers that see what those before them left."""

from bginv.cli import main

if __name__ == "__main__":
    main("train-acol")
