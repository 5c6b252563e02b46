"""Phase 1: train a classifier."""

from bginv.cli import main

if __name__ == "__main__":
    main("train1")
