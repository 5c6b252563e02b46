"""One method a file, and the loop they share."""
