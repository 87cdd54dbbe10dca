"""The first minute: a name, and one is ready to write."""
