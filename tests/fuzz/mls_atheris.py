"""Coverage-guided fuzzing of `lutra.mls`: python tests/fuzz/mls_atheris.py SECONDS [SEED]

The first byte of an input chooses what it is fed to. The run ends with a non-zero code at the
first error that is not a typed one, and prints the input.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

with atheris.instrument_imports(include=["lutra.mls"], enable_loader_override=False):
    from fuzz.mls_insider import feeds
    from lutra.errors import LocalError, RemoteError

FEEDS = tuple(feeds().values())


def one_input(data: bytes) -> None:
    """Feed one input where its first byte says."""
    if not data:
        return
    feed = FEEDS[data[0] % len(FEEDS)]
    try:
        feed.give(data[1:])
    except (RemoteError, LocalError):
        return


def main() -> None:
    seconds, seed = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "1"
    with tempfile.TemporaryDirectory() as folder:
        for number, feed in enumerate(FEEDS):
            for place, example in enumerate(feed.seeds):
                (Path(folder) / f"{number}-{place}").write_bytes(bytes((number,)) + example)
        options = [
            f"-max_total_time={seconds}",
            f"-seed={seed}",
            "-max_len=65536",
            "-timeout=10",
            "-rss_limit_mb=1024",
            f"-artifact_prefix={tempfile.gettempdir()}/lutra-mls-",
        ]
        atheris.Setup([sys.argv[0], *options, folder], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
