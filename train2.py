"""Phase 2: train a mask generator."""

from bginv.cli import main

if __name__ == "__main__":
    main("train2")
