"""What every run shares: what a run is, and what makes it survive, go on and report."""
