"""Phase 3: train the classifier against backgrounds."""

from bginv.cli import main

if __name__ == "__main__":
    main("train3")
