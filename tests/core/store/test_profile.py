"""The profile directory: creation, custody of the key, the lock."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

from lutra.store.custody import (
    MEMORY_BYTES,
    PASSES,
    Custody,
    FileCustody,
    KeyringCustody,
    PassphraseCustody,
)
from lutra.store.errors import (
    DamagedDatabaseError,
    DatabaseMissingError,
    KeyringError,
    NewerDatabaseError,
    PassphraseNeededError,
    ProfileError,
    ProfileExistsError,
    ProfileInUseError,
    ProfileMissingError,
    WrongKeyError,
    WrongPassphraseError,
)
from lutra.store.profile import Profile, default_directory


class MemoryKeyring(KeyringBackend):
    """A keyring that works, for this process only."""

    priority = 5.0  # pyright: ignore[reportAssignmentType]

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.kept.pop((service, username), None) is None:
            raise PasswordDeleteError


class HangingKeyring(MemoryKeyring):
    """A keyring that waits for something that does not come before the test's end."""

    def __init__(self, release: threading.Event) -> None:
        super().__init__()
        self.release = release

    def get_password(self, service: str, username: str) -> str | None:
        self.release.wait()
        return None

    def set_password(self, service: str, username: str, password: str) -> None:
        self.release.wait()


class MakeshiftKeyring(MemoryKeyring):
    """What the library offers where there is no real keyring."""

    priority = 0.5  # pyright: ignore[reportAssignmentType]


@pytest.fixture(autouse=True)
def memory_keyring() -> Iterator[MemoryKeyring]:
    before = keyring.get_keyring()
    backend = MemoryKeyring()
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(before)


def quick_passphrase(passphrase: str | None) -> PassphraseCustody:
    return PassphraseCustody(passphrase, opslimit=1, memlimit=8192)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "profile"


def custody(kind: str, folder: Path) -> Custody:
    return {
        "file": FileCustody(folder),
        "passphrase": quick_passphrase("größer als nichts"),
        "keyring": KeyringCustody(),
    }[kind]


KINDS = ("file", "passphrase", "keyring")


@pytest.mark.parametrize("kind", KINDS)
def test_every_custody_gives_the_key_back(folder: Path, kind: str) -> None:
    assert not Profile.exists(folder)
    created = Profile.create(folder, custody(kind, folder))
    assert Profile.exists(folder)
    opened = Profile.open(folder)
    assert opened == created
    assert opened.custody == kind
    assert opened.needs_passphrase == (kind == "passphrase")
    key = opened.unlock("größer als nichts" if kind == "passphrase" else None)
    with opened.open_store(key) as store:
        store.settings.set("x", 1)
    with opened.open_store(key) as store:
        assert store.settings.get("x") == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.skipif(os.name != "posix", reason="needs file modes")
def test_a_profile_is_private_and_its_description_has_no_key(folder: Path, kind: str) -> None:
    before = os.umask(0)
    try:
        profile = Profile.create(folder, custody(kind, folder))
    finally:
        os.umask(before)
    key = profile.unlock("größer als nichts")
    before = os.umask(0)
    try:
        profile.open_store(key).close()
    finally:
        os.umask(before)
    for path in (folder, folder / "blobs"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in folder.iterdir():
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            holds_key = key.hex().encode() in path.read_bytes() or key in path.read_bytes()
            assert holds_key == (path.name == "key")
    assert (folder / "key").exists() == (kind == "file")
    assert key.hex() not in repr(profile)


def test_the_keyring_is_chosen_where_it_works(folder: Path, memory_keyring: MemoryKeyring) -> None:
    profile = Profile.create(folder)
    assert profile.custody == "keyring"
    assert list(memory_keyring.kept) == [("lutra", profile.id)]


def test_a_private_file_is_chosen_where_the_keyring_is_makeshift(folder: Path) -> None:
    keyring.set_keyring(MakeshiftKeyring())
    assert Profile.create(folder).custody == "file"


def test_a_private_file_is_chosen_where_the_keyring_hangs(folder: Path) -> None:
    release = threading.Event()
    keyring.set_keyring(HangingKeyring(release))
    started = time.monotonic()
    try:
        profile = Profile.create(folder)
        assert profile.custody == "file"
        assert 2 <= time.monotonic() - started < 4
        assert len(profile.unlock()) == 32
        with pytest.raises(KeyringError) as caught:
            KeyringCustody(0.05).recall(profile.id, {})
        assert caught.value.details == {"reason": "timeout"}
    finally:
        release.set()


def test_a_key_the_keyring_lost_is_told(folder: Path, memory_keyring: MemoryKeyring) -> None:
    profile = Profile.create(folder, KeyringCustody())
    memory_keyring.kept.clear()
    with pytest.raises(KeyringError):
        profile.unlock()


def test_wrong_and_missing_passphrases_are_told(folder: Path) -> None:
    profile = Profile.create(folder, quick_passphrase("right"))
    with pytest.raises(PassphraseNeededError):
        profile.unlock()
    with pytest.raises(PassphraseNeededError):
        profile.unlock("")
    with pytest.raises(WrongPassphraseError) as caught:
        profile.unlock("secret guess")
    assert "guess" not in str(caught.value) + repr(caught.value.__context__)
    with pytest.raises(PassphraseNeededError):
        Profile.create(folder / "other", quick_passphrase(""))
    assert "right" not in repr(quick_passphrase("right"))


def test_a_passphrase_may_be_typed_composed_or_decomposed(folder: Path) -> None:
    profile = Profile.create(folder, quick_passphrase("caf\u00e9"))
    assert len(profile.unlock("cafe\u0301")) == 32


def test_the_default_passphrase_cost_is_that_of_its_record(folder: Path) -> None:
    profile = Profile.create(folder, PassphraseCustody("slow"))
    assert profile.record["opslimit"] == PASSES
    assert profile.record["memlimit"] == MEMORY_BYTES
    assert len(Profile.open(folder).unlock("slow")) == 32


@pytest.mark.parametrize("new", KINDS)
@pytest.mark.parametrize("old", KINDS)
def test_the_key_moves_from_any_custody_to_any_other(
    folder: Path, old: str, new: str, memory_keyring: MemoryKeyring
) -> None:
    profile = Profile.create(folder, custody(old, folder))
    key = profile.unlock("größer als nichts")
    changed = profile.change_custody(key, custody(new, folder))
    assert changed == Profile.open(folder)
    assert changed.custody == new
    assert changed.unlock("größer als nichts") == key
    assert (folder / "key").exists() == (new == "file")
    assert bool(memory_keyring.kept) == (new == "keyring")
    with pytest.raises(WrongKeyError):
        changed.change_custody(bytes(32), custody(old, folder))


def test_a_second_profile_is_not_made_over_the_first(folder: Path) -> None:
    Profile.create(folder, FileCustody(folder))
    content = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(ProfileExistsError):
        Profile.create(folder, FileCustody(folder))
    assert content == {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def test_a_database_without_its_description_is_not_overwritten(folder: Path) -> None:
    profile = Profile.create(folder, FileCustody(folder))
    key = profile.unlock()
    profile.open_store(key).close()
    (folder / "profile.json").unlink()
    with pytest.raises(ProfileError):
        Profile.create(folder, FileCustody(folder))
    assert profile.unlock() == key


def test_a_folder_with_other_files_is_left_alone(folder: Path) -> None:
    folder.mkdir(parents=True, mode=0o755)
    folder.chmod(0o755)
    (folder / "taxes.ods").write_bytes(b"other")
    with pytest.raises(ProfileError, match="other files"):
        Profile.create(folder, FileCustody(folder))
    assert [path.name for path in folder.iterdir()] == ["taxes.ods"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    (folder / "taxes.ods").rename(folder / ".taxes")
    (folder / "window.ini").touch()
    Profile.create(folder, FileCustody(folder))


def test_a_missing_profile_is_told(folder: Path) -> None:
    with pytest.raises(ProfileMissingError):
        Profile.open(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"{}",
        b'{"version": 0}',
        b'{"version": true}',
        b'{"version": 1, "id": 1, "custody": "file", "record": {}, "key_check": ""}',
        b'{"version": 1, "id": "a", "custody": "cloud", "record": {}, "key_check": ""}',
        b'{"version": 1, "id": "a", "custody": "file", "record": [], "key_check": ""}',
        b'{"version": 1, "id": "a", "custody": "file", "record": {}, "key_check": "x"}',
    ],
)
def test_a_damaged_description_is_told(folder: Path, content: bytes) -> None:
    Profile.create(folder, FileCustody(folder))
    (folder / "profile.json").write_bytes(content)
    with pytest.raises(ProfileError):
        Profile.open(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"salt": "zz"},
        {"salt": "00"},
        {"opslimit": 0},
        {"opslimit": 10**9},
        {"memlimit": 2**60},
        {"memlimit": "much"},
        {"wrapped": None},
    ],
)
def test_a_doctored_record_is_refused_before_any_work(
    folder: Path, change: dict[str, object]
) -> None:
    Profile.create(folder, quick_passphrase("right"))
    path = folder / "profile.json"
    content = json.loads(path.read_bytes())
    content["record"] |= change
    path.write_text(json.dumps(content))
    started = time.monotonic()
    with pytest.raises((ProfileError, WrongPassphraseError)):
        Profile.open(folder).unlock("right")
    assert time.monotonic() - started < 2


def test_a_newer_description_is_refused(folder: Path) -> None:
    Profile.create(folder, FileCustody(folder))
    (folder / "profile.json").write_text('{"version": 2}')
    with pytest.raises(NewerDatabaseError):
        Profile.open(folder)


@pytest.mark.parametrize("content", [None, b"", b"no hex", bytes(32).hex().encode(), b"00"])
def test_a_wrong_key_file_is_told(folder: Path, content: bytes | None) -> None:
    profile = Profile.create(folder, FileCustody(folder))
    (folder / "key").unlink()
    if content is not None:
        (folder / "key").write_bytes(content)
    with pytest.raises(ProfileError):
        profile.unlock()


@pytest.mark.skipif(os.name != "posix", reason="needs file modes")
def test_a_key_file_that_others_may_read_is_made_private(folder: Path) -> None:
    profile = Profile.create(folder, FileCustody(folder))
    (folder / "key").chmod(0o644)
    profile.unlock()
    assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o600


def test_a_lost_database_is_told_and_not_made_anew(folder: Path) -> None:
    key = Profile.create(folder, FileCustody(folder)).unlock()
    # Until it was opened once there is nothing to lose.
    Profile.open(folder).open_store(key).close()
    profile = Profile.open(folder)
    profile.open_store(key).close()
    profile.database.unlink()
    for _ in range(2):
        with pytest.raises(DatabaseMissingError, match="is missing"):
            Profile.open(folder).open_store(key)
        assert not profile.database.exists()


def test_a_damaged_database_is_not_taken_for_a_wrong_key(folder: Path) -> None:
    profile = Profile.create(folder, FileCustody(folder))
    key = profile.unlock()
    profile.open_store(key).close()
    content = bytearray(profile.database.read_bytes())
    content[100] ^= 1
    profile.database.write_bytes(content)
    with pytest.raises(DamagedDatabaseError):
        profile.open_store(key)
    with pytest.raises(WrongKeyError):
        profile.open_store(bytes(32))


def test_a_socket_path_is_never_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
    short = Profile(Path("/p"), "id", "file", b"", {})
    assert short.socket == Path("/p/socket")
    deep = Profile(tmp_path / ("d" * 60) / ("e" * 60), "id", "file", b"", {})
    assert deep.socket.parent.parent == tmp_path / "t"
    assert stat.S_IMODE(deep.socket.parent.stat().st_mode) == 0o700
    assert len(deep.socket.parent.name) < 40
    assert deep.socket == deep.socket
    other = Profile(tmp_path / ("d" * 60) / ("f" * 60), "id", "file", b"", {})
    assert deep.socket != other.socket


def test_the_default_folder_belongs_to_the_user() -> None:
    assert default_directory().name == "lutra"
    assert default_directory().is_absolute()


def test_a_second_instance_is_refused_until_the_first_lets_go(folder: Path) -> None:
    profile = Profile.create(folder, FileCustody(folder))
    with profile.lock() as lock:
        lock.acquire()
        assert lock.held
        for _ in range(2):
            with pytest.raises(ProfileInUseError) as caught:
                profile.lock().acquire()
            assert caught.value.details == {"pid": os.getpid()}
    assert not lock.held
    lock.release()
    with profile.lock():
        pass


HOLD = """
import pathlib, sys
from lutra.store.lock import ProfileLock
with ProfileLock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_killed_instance_does_not_keep_the_profile(folder: Path) -> None:
    profile = Profile.create(folder, FileCustody(folder))
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"held"
        with pytest.raises(ProfileInUseError) as caught:
            profile.lock().acquire()
        assert caught.value.details == {"pid": process.pid}
        process.kill()
    with profile.lock() as lock:
        assert lock.held
