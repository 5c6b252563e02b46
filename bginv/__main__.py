"""`python -m bginv`."""

from bginv.cli import main

main()
