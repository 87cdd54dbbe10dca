"""Randomness as a parameter, so that tests and the simulator can replay a run."""

from __future__ import annotations

import os
from collections.abc import Callable

Random = Callable[[int], bytes]
"""Takes a length in bytes, returns that many random bytes."""

system_random: Random = os.urandom
"""The operating system's generator: the only one used outside tests."""
