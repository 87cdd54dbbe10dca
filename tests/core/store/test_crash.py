"""A process that is killed, or a log that is cut off, loses nothing that was committed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lutra.operation import LogKey
from lutra.store import Store

WRITER = Path(__file__).with_name("crash_writer.py")
DOCUMENT = b"d" * 32


def _killed_run(path: Path, key: bytes, kill_after: int) -> int:
    """Let the writer commit ``kill_after`` times, kill it, and return what it had announced."""
    process = subprocess.Popen(
        [sys.executable, str(WRITER), str(path), key.hex()], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    announced = -1
    with process.stdout:
        for _ in range(kill_after):
            announced = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        # What it announced between our last look and its death counts as well.
        for line in process.stdout:
            if line.endswith(b"\n"):
                announced = int(line)
    assert process.wait() == -signal.SIGKILL
    return announced


def _check(path: Path, key: bytes, announced: int) -> int:
    """Everything announced is there, whole; at most the transaction under way is more."""
    with Store.open(path, key) as store:
        last = store.settings.get("last")
        assert isinstance(last, int)
        assert last in (announced, announced + 1)
        drafts = store.drafts.list(DOCUMENT)
        assert [draft.update for draft in drafts] == [b"draft %d" % n for n in range(last + 1)]
        assert store.documents.tail(DOCUMENT)[-1] == b"update %d" % last
        author = store.settings.get("author")
        assert isinstance(author, bytes)
        key_of_log = LogKey(author, DOCUMENT)
        head = store.logs.head(key_of_log)
        assert head is not None
        operations = store.operations.of_log(key_of_log)
        assert [one.seq_num for one in operations] == list(range(last + 1))
        assert (head.seq_num, head.id) == (last, operations[-1].id)
        assert store.documents.search(f"word{last}")
        assert store.integrity_check().ok
        return last


@pytest.mark.parametrize("seed", range(3))
def test_killing_a_writer_loses_nothing(path: Path, key: bytes, seed: int) -> None:
    _kill_repeatedly(path, key, seed, rounds=4)


@pytest.mark.soak
def test_killing_a_writer_two_hundred_times_loses_nothing(path: Path, key: bytes) -> None:
    _kill_repeatedly(path, key, 99, rounds=200)


def _kill_repeatedly(path: Path, key: bytes, seed: int, rounds: int) -> None:
    generator = random.Random(seed)
    last = -1
    for _ in range(rounds):
        announced = _killed_run(path, key, generator.randrange(1, 150))
        assert announced > last
        last = _check(path, key, announced)


@pytest.fixture(scope="module")
def cut_short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database whose log holds 40 transactions, copied while it was open."""
    folder = tmp_path_factory.mktemp("cut")
    with Store.open(folder / "open.db", bytes(range(32))) as store:
        store.connection.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        for number in range(40):
            with store.transaction():
                store.drafts.add(DOCUMENT, b"draft %d" % number)
                store.settings.set("last", number)
        for suffix in ("", "-wal"):
            shutil.copy(folder / f"open.db{suffix}", folder / f"lutra.db{suffix}")
    return folder


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(share=st.floats(0, 1), flip=st.booleans())
def test_a_torn_log_yields_whole_transactions(
    cut_short: Path, tmp_path: Path, share: float, flip: bool
) -> None:
    wal = bytearray((cut_short / "lutra.db-wal").read_bytes())
    size = len(wal)
    place = int(share * (size - 1))
    if flip:
        wal[place] ^= 0xFF
    else:
        del wal[place:]
    torn = tmp_path / "lutra.db"
    shutil.copy(cut_short / "lutra.db", torn)
    (tmp_path / "lutra.db-wal").write_bytes(wal)
    with Store.open(torn, bytes(range(32))) as store:
        last = store.settings.get("last")
        count = 0 if last is None else int(last) + 1
        drafts = [draft.update for draft in store.drafts.list(DOCUMENT)]
        assert drafts == [b"draft %d" % number for number in range(count)]
        # What lay wholly before the damage is there.
        assert count >= 40 * place // size - 2
        assert store.integrity_check().ok
    for file in tmp_path.iterdir():
        os.unlink(file)
