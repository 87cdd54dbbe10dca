"""Lutra: encrypted group documents that keep together when the network does not."""

__version__ = "0.1.0"
