"""Output-space adaptation: a segmentation network and its discriminators (AdaptSegNet)."""

from bginv.cli import main

if __name__ == "__main__":
    main("train-adapt")
