"""Colours, distances, type, icons and motion: how the desktop looks."""
