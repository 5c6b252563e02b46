"""Accuracy of a classifier on the training split and on every test."""

from bginv.cli import main

if __name__ == "__main__":
    main("evaluate")
