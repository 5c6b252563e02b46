"""The Backgrounds Challenge: accuracy on every variation, and vulnerable foregrounds."""

from bginv.cli import main

if __name__ == "__main__":
    main("evaluate-backgrounds")
