"""Persons and their devices: device logs, pairing, recovery kits, safety numbers (all sans-IO)."""
