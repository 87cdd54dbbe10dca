"""Replication between two devices: sans-IO state machines over an ordered channel of frames."""
