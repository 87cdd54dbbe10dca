"""Recovery kits: making, testing, withdrawing, and coming back by one."""
