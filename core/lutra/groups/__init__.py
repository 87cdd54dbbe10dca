"""Groups: who is in, and which keys they share, as a function of signed control operations."""
