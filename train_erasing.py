"""End-to-end adversarial erasing (EADER): a localizer and its adversary."""

from bginv.cli import main

if __name__ == "__main__":
    main("train-erasing")
