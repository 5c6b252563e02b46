"""`bginv app`: look through masks in a browser, mend them, and save what is kept."""
