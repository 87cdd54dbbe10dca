"""Messaging Layer Security, RFC 9420."""
