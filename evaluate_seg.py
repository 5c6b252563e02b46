"""Masks of a mask generator as pictures."""

from bginv.cli import main

if __name__ == "__main__":
    main("evaluate-seg")
