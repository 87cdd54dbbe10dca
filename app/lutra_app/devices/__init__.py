"""This person's devices: listing, pairing, removing."""
