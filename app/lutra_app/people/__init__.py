"""Who is in a group, who is here now, and how others come in."""
