"""The `lutra` command."""
