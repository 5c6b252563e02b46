"""The attention-guided baseline: global classifier, local branch on a crop, and their fusion."""

from bginv.cli import main

if __name__ == "__main__":
    main("train-att")
