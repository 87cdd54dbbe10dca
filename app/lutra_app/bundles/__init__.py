"""Groups as encrypted files: out and in."""
