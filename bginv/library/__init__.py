"""What `import bginv` offers to programs: see `bginv.__all__`."""
