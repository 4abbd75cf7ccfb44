"""Questions that people ask of the log and its index."""
