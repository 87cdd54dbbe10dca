"""The command line on a computer of a test LAN, on another day: DAYS ARGUMENT…"""

from __future__ import annotations

import sys
import time

_SHIFT = int(sys.argv[1]) * 86_400
_time, _time_ns = time.time, time.time_ns
# Before anything of the library is imported: some of it keeps the clock it finds.
time.time = lambda: _time() + _SHIFT
time.time_ns = lambda: _time_ns() + _SHIFT * 10**9

from lutra.cli import run  # noqa: E402

if __name__ == "__main__":
    sys.exit(run(sys.argv[2:]))
