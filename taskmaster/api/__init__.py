"""REST: it only translates."""
