"""Making a group and looking after it."""
