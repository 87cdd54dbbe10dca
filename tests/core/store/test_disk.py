"""Full disks, read-only disks and damaged files: each has a defined outcome."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lutra.store import DocumentRow, OperationState, Store
from lutra.store.errors import (
    DamagedDatabaseError,
    DiskFullError,
    ReadOnlyError,
    StoreError,
    WrongKeyError,
)

from .conftest import GROUP, KEY, MakeLog

DOCUMENT = b"d" * 32
PAGE_BYTES = 4096


def test_a_full_database_refuses_and_goes_on_when_there_is_room(
    path: Path, key: bytes, make_log: MakeLog
) -> None:
    with Store.open(path, key) as store:
        store.drafts.add(DOCUMENT, b"before")
        pages = store.connection.rows("PRAGMA page_count")[0][0]
        store.connection.rows(f"PRAGMA max_page_count = {pages}")
        log = make_log(50)
        with pytest.raises(DiskFullError) as caught:
            store.operations.insert_many(log, group=GROUP, state=OperationState.APPLIED)
        assert "full" in caught.value.message
        assert store.operations.count() == 0
        assert [draft.update for draft in store.drafts.list(DOCUMENT)] == [b"before"]
        store.connection.rows("PRAGMA max_page_count = 1000000")
        store.operations.insert_many(log, group=GROUP, state=OperationState.APPLIED)
        assert store.operations.count() == 50
        assert store.integrity_check().ok


def test_a_mostly_empty_database_gives_its_room_back(path: Path, key: bytes) -> None:
    with Store.open(path, key) as store:
        for number in range(30):
            store.drafts.add(DOCUMENT, bytes([number]) * 1_000_000)
        store.drafts.add(b"k" * 32, b"kept")
        store.checkpoint()
        assert not store.compact()
        store.drafts.delete_through(DOCUMENT, 25)
        large = path.stat().st_size
        assert large > 30_000_000
        assert store.compact()
        assert path.stat().st_size < 6_000_000
        assert not store.compact()
        assert [draft.update for draft in store.drafts.list(b"k" * 32)] == [b"kept"]
        assert len(store.drafts.list(DOCUMENT)) == 5
        assert store.integrity_check().ok


FILL = """
import pathlib, sys
from lutra.store import Store
from lutra.store.errors import DiskError, DiskFullError
folder = pathlib.Path(sys.argv[1])
ballast = folder / "ballast"
ballast.write_bytes(bytes(600_000))
store = Store.open(folder / "lutra.db", bytes(range(32)))
saved = 0
try:
    while True:
        store.drafts.add(b"d" * 32, saved.to_bytes(4, "big") * 500)
        saved += 1
except DiskFullError:
    pass
try:
    store.keys.put("device", bytes(60_000))
    raise SystemExit("a full disk took more")
except DiskFullError:
    pass
assert len(store.drafts.list(b"d" * 32)) == saved > 50, saved
store.close()
store = Store.open(folder / "lutra.db", bytes(range(32)))
assert len(store.drafts.list(b"d" * 32)) == saved
ballast.unlink()
store.drafts.add(b"d" * 32, b"again")
assert store.integrity_check().ok
store.close()
store = Store.open(folder / "lutra.db", bytes(range(32)))
drafts = store.drafts.list(b"d" * 32)
assert [draft.update for draft in drafts[:-1]] == [
    number.to_bytes(4, "big") * 500 for number in range(saved)
]
assert drafts[-1].update == b"again"
"""

READ_ONLY = """
import pathlib, sys
from lutra.store import Store
from lutra.store.errors import ReadOnlyError
try:
    Store.open(pathlib.Path(sys.argv[1]) / "lutra.db", bytes(range(32)))
except ReadOnlyError as error:
    print(error)
    sys.exit(0)
sys.exit("opened")
"""


def _in_mount_namespace(mount: str, folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script with ``mount`` done first, seen by that process only."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        pytest.skip("needs Linux mount namespaces")
    probe = subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True)
    if probe.returncode:
        pytest.skip("needs the right to make mount namespaces")
    return subprocess.run(
        ["unshare", "-m", "sh", "-ec", f'{mount}\nexec "$@"', "sh"]  # noqa: RUF005
        + [sys.executable, "-c", script, str(folder)],
        check=False,
        capture_output=True,
        text=True,
    )


def test_a_full_file_system_loses_nothing_and_recovers(tmp_path: Path) -> None:
    done = _in_mount_namespace(f'mount -t tmpfs -o size=2m tmpfs "{tmp_path}"', tmp_path, FILL)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_read_only_disk_is_told(tmp_path: Path) -> None:
    with Store.open(tmp_path / "lutra.db", KEY) as store:
        store.drafts.add(DOCUMENT, b"x")
    done = _in_mount_namespace(
        f'mount --bind "{tmp_path}" "{tmp_path}"\nmount -o remount,ro,bind "{tmp_path}"',
        tmp_path,
        READ_ONLY,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "The profile's folder cannot be written to.\n"


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        Store.open(tmp_path / "missing" / "lutra.db", KEY)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_folder_without_the_right_to_write_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ReadOnlyError):
            Store.open(tmp_path / "lutra.db", KEY)
    finally:
        tmp_path.chmod(0o700)


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a closed database with some of everything."""
    path = tmp_path_factory.mktemp("intact") / "lutra.db"
    with Store.open(path, KEY) as store:
        for number in range(60):
            document = bytes([number]) * 32
            store.documents.upsert(DocumentRow(document, GROUP, f"Page {number}", 0, number))
            store.documents.set_snapshot(document, os.urandom(3000))
            store.documents.index(document, f"Page {number}", "some words " * 20)
        # Pages that are free again must be checked too.
        store.drafts.delete_through(DOCUMENT, store.drafts.add(DOCUMENT, bytes(100_000)))
    return path.read_bytes()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_flipped_bit_anywhere_is_found(
    intact: bytes, tmp_path: Path, share: float, bit: int
) -> None:
    damaged = bytearray(intact)
    damaged[int(share * len(damaged))] ^= 1 << bit
    path = tmp_path / "lutra.db"
    path.write_bytes(damaged)
    try:
        store = Store.open(path, KEY)
    except (WrongKeyError, DamagedDatabaseError):
        return
    with store:
        for quick in (True, False):
            report = store.integrity_check(quick=quick)
            assert not report.ok
            assert 0 < len(report.problems) <= 100


def test_reading_a_damaged_page_is_told_and_never_yields_wrong_content(
    intact: bytes, path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path.write_bytes(intact)
    with Store.open(path, KEY) as store:
        right = [store.documents.snapshot(bytes([number]) * 32) for number in range(60)]
    told = 0
    for page in range(PAGE_BYTES * 40, len(intact), PAGE_BYTES * 7):
        damaged = bytearray(intact)
        damaged[page + 1000] ^= 1
        path.write_bytes(damaged)
        with Store.open(path, KEY) as store:
            for number in range(60):
                try:
                    assert store.documents.snapshot(bytes([number]) * 32) == right[number]
                except DamagedDatabaseError:
                    told += 1
    assert told > 0
    assert capfd.readouterr() == ("", "")


def test_a_truncated_database_is_told(intact: bytes, path: Path) -> None:
    path.write_bytes(intact[: len(intact) // 2 // PAGE_BYTES * PAGE_BYTES])
    with pytest.raises(DamagedDatabaseError):
        Store.open(path, KEY)


def test_a_file_that_is_no_database_is_left_alone(path: Path) -> None:
    path.write_bytes(b"hello" * 1000)
    with pytest.raises(WrongKeyError):
        Store.open(path, KEY)
    assert path.read_bytes() == b"hello" * 1000
