"""Published ways to a classifier that does not follow backgrounds, on one loop."""
