"""Inviting, joining, and letting in."""
