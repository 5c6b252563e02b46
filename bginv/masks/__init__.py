"""Where foregrounds come from: one contract, and one file a source."""
