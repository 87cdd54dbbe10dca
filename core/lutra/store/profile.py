"""A profile: the directory with everything one person keeps on one device.

Layout::

    profile.json   which custody has the key, and what that custody needs (never the key)
    lutra.db       the encrypted database
    key            the key, if the person chose to keep it in a private file
    lock           held while Lutra runs
    socket         where the running Lutra answers
    blobs/         encrypted files
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import platformdirs

from lutra.crypto.hashing import blake3_hash, blake3_keyed, equal_constant_time
from lutra.crypto.random import Random, system_random
from lutra.store.connection import KEY_BYTES
from lutra.store.custody import (
    PROBE_SECONDS,
    Custody,
    FileCustody,
    KeyringCustody,
    PassphraseCustody,
    Record,
)
from lutra.store.errors import (
    DamagedDatabaseError,
    DatabaseMissingError,
    KeyringError,
    NewerDatabaseError,
    ProfileError,
    ProfileExistsError,
    ProfileMissingError,
    StoreError,
    WrongKeyError,
)
from lutra.store.files import disk_error, make_private_directory, write_private
from lutra.store.lock import ProfileLock
from lutra.store.store import Store
from lutra.store.wiping import NOTE, forget_note, refuse_wiped, wipe

DESCRIPTION = "profile.json"
DATABASE = "lutra.db"
_VERSION = 1
_LEFT_OVER = ("key", "lock", "socket", "blobs", "window.ini", NOTE)
"""What begins the names of files that may be there before the profile is."""
_KEY_CHECK = b"lutra profile key check 1"
_MOST_SOCKET_BYTES = 100


def default_directory() -> Path:
    """Return where the profile is kept unless the person says otherwise."""
    return platformdirs.user_data_path("lutra", appauthor=False)


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile that exists on disk; it is not unlocked by being opened.

    Attributes:
        directory: its folder.
        id: random name of the profile, 32 hexadecimal digits.
        custody: kind of custody: ``"keyring"``, ``"passphrase"`` or ``"file"``.
        key_check: tells a wrong key from a damaged database; says nothing about the key.
        record: what the custody needs.
        has_database: the database was made; without its file something was lost.
    """

    directory: Path
    id: str
    custody: str
    key_check: bytes
    record: Record
    has_database: bool = False

    @staticmethod
    def exists(directory: Path) -> bool:
        """Tell whether there is a profile in ``directory``."""
        return (directory / DESCRIPTION).is_file()

    @classmethod
    def create(
        cls, directory: Path, custody: Custody | None = None, *, random: Random = system_random
    ) -> Profile:
        """Create a profile with a new random key.

        Args:
            directory: its folder; created if need be, for this user only.
            custody: where the key goes; None means the system's keyring if there is one that
                works within two seconds, otherwise a private file.
            random: source of the key.

        Raises:
            ProfileExistsError: there is one already.
            ProfileError: the folder or the chosen custody cannot be used, or it has other files.
        """
        if cls.exists(directory):
            raise ProfileExistsError("There is already a profile here.", path=str(directory))
        if (directory / DATABASE).exists():
            raise ProfileError(
                "The folder has a database whose profile.json is missing; nothing was changed.",
                path=str(directory),
            )
        check_own_folder(directory)
        return cls.establish(directory, random(KEY_BYTES), custody, random=random)

    @classmethod
    def establish(
        cls,
        directory: Path,
        key: bytes,
        custody: Custody | None = None,
        *,
        random: Random = system_random,
    ) -> Profile:
        """Make ``directory`` a profile whose database has, or will have, this key.

        Raises:
            ProfileError: the folder or the chosen custody cannot be used.
        """
        make_private_directory(directory)
        forget_note(directory)
        make_private_directory(directory / "blobs")
        identifier = random(16).hex()
        if custody is None:
            custody, record = _keep_automatically(directory, identifier, key)
        else:
            record = custody.keep(identifier, key)
        profile = cls(directory, identifier, custody.kind, _check_of(key), record)
        profile._write()
        return profile

    @classmethod
    def open(cls, directory: Path) -> Profile:
        """Read a profile's description.

        Raises:
            ProfileMissingError: there is none.
            ProfileWipedError: there was one, and it was deleted since the device was removed.
            NewerDatabaseError: a newer Lutra wrote it.
            ProfileError: it cannot be read.
        """
        refuse_wiped(directory)
        path = directory / DESCRIPTION
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise ProfileMissingError(
                "There is no profile here yet.", path=str(directory)
            ) from None
        except OSError as error:
            raise disk_error(error, path) from error
        return _parse(directory, content)

    @property
    def needs_passphrase(self) -> bool:
        """Whether `unlock` needs a passphrase."""
        return self.custody == PassphraseCustody.kind

    @property
    def database(self) -> Path:
        """The database file."""
        return self.directory / DATABASE

    @property
    def blobs(self) -> Path:
        """The folder of encrypted files."""
        return self.directory / "blobs"

    @property
    def socket(self) -> Path:
        """Where the running Lutra answers.

        Operating systems cap such a path at about 100 bytes; a deeper profile has its socket in
        a private folder among the temporary files instead, the same one every time.
        """
        path = self.directory.absolute() / "socket"
        if len(os.fsencode(path)) <= _MOST_SOCKET_BYTES:
            return path
        # The profile's random id keeps other users from guessing the name and taking it.
        name = blake3_hash(os.fsencode(path) + self.id.encode()).hex()[:24]
        folder = Path(tempfile.gettempdir()) / f"lutra-{name}"
        make_private_directory(folder)
        return folder / "socket"

    def lock(self) -> ProfileLock:
        """Return the profile's lock, not yet taken."""
        return ProfileLock(self.directory / "lock")

    def unlock(self, passphrase: str | None = None) -> bytes:
        """Bring the database's key back from its custody.

        Raises:
            PassphraseNeededError: the profile has a passphrase and none was given.
            WrongPassphraseError: it is not the right one.
            KeyringError: the keyring does not answer or does not have the key.
            ProfileError: the key is missing or belongs to another profile.
        """
        key = self._custody(passphrase).recall(self.id, self.record)
        if len(key) != KEY_BYTES or not equal_constant_time(_check_of(key), self.key_check):
            raise ProfileError("The key that was found does not belong to this profile.")
        return key

    def check_key(self, key: bytes) -> None:
        """Check that ``key`` is this profile's.

        Raises:
            WrongKeyError: it is not.
        """
        if not equal_constant_time(_check_of(key), self.key_check):
            raise WrongKeyError("The key does not belong to this profile.")

    def open_store(self, key: bytes) -> Store:
        """Open the database with the key `unlock` returned; see `Store.open`.

        Raises:
            WrongKeyError: the key is not this profile's.
            DamagedDatabaseError: the key is right and yet the database does not open.
            DatabaseMissingError: there was a database, and it is gone.
        """
        self.check_key(key)
        if self.has_database and not self.database.exists():
            raise DatabaseMissingError(
                "The database of this profile, lutra.db, is missing. Put it back, or restore a "
                "backup into another folder; nothing was changed.",
                path=str(self.directory),
            )
        try:
            store = Store.open(self.database, key)
        except WrongKeyError as error:
            raise DamagedDatabaseError(
                "The beginning of the database is damaged; restore it from a backup or from "
                "another device."
            ) from error
        if not self.has_database:
            # A full disk must not keep anybody from reading; the next opening says it then.
            with contextlib.suppress(StoreError):
                replace(self, has_database=True)._write()
        return store

    def change_custody(self, key: bytes, custody: Custody) -> Profile:
        """Move the key to another custody (or passphrase); returns the changed profile.

        The old custody forgets the key only after the new one is on record.
        """
        self.check_key(key)
        changed = replace(self, custody=custody.kind, record=custody.keep(self.id, key))
        changed._write()
        if custody.kind != self.custody:
            self._custody(None).forget(self.id)
        return changed

    def wipe(self, reason: str) -> None:
        """Delete everything that is here, keys first; the store must be closed.

        Args:
            reason: a sentence for people, shown by `open` from then on.

        Raises:
            ProfileError: the folder cannot be written to.
        """
        wipe(self.directory, reason, lambda: self._custody(None).forget(self.id))

    def _custody(self, passphrase: str | None) -> Custody:
        if self.custody == KeyringCustody.kind:
            return KeyringCustody()
        if self.custody == PassphraseCustody.kind:
            return PassphraseCustody(passphrase)
        return FileCustody(self.directory)

    def _write(self) -> None:
        content = {
            "version": _VERSION,
            "id": self.id,
            "custody": self.custody,
            "key_check": self.key_check.hex(),
            "record": dict(self.record),
            "database": self.has_database,
        }
        write_private(self.directory / DESCRIPTION, json.dumps(content, indent=2).encode() + b"\n")


def check_own_folder(directory: Path) -> None:
    """Check that nothing but a profile is, or was, in a folder: it will be closed to others.

    Raises:
        ProfileError: other files are there, or the folder cannot be read.
    """
    try:
        names = [path.name for path in directory.iterdir()] if directory.exists() else []
    except OSError as error:
        raise disk_error(error, directory) from error
    if any(not name.startswith((".", *_LEFT_OVER)) for name in names):
        raise ProfileError(
            "There are other files in this folder. A profile needs a folder of its own, which "
            "only you can look into: name one that is new or empty.",
            path=str(directory),
        )


def _keep_automatically(directory: Path, profile: str, key: bytes) -> tuple[Custody, Record]:
    keyring = KeyringCustody(PROBE_SECONDS)
    try:
        return keyring, keyring.keep(profile, key)
    except KeyringError:
        file = FileCustody(directory)
        return file, file.keep(profile, key)


def _check_of(key: bytes) -> bytes:
    return blake3_keyed(key, _KEY_CHECK)[:16]


def _parse(directory: Path, content: bytes) -> Profile:
    damaged = ProfileError("The profile's description is damaged.", path=str(directory))
    try:
        loaded: Any = json.loads(content)
        if type(loaded) is not dict:
            raise damaged
        fields = cast("dict[str, Any]", loaded)
        version = fields["version"]
        if type(version) is not int or version < 1:
            raise damaged
        if version > _VERSION:
            raise NewerDatabaseError(
                "This profile was used with a newer Lutra. Please update Lutra to open it.",
                found=version,
                supported=_VERSION,
            )
        record = cast("dict[str, str | int]", fields["record"])
        custody, identifier = fields["custody"], fields["id"]
        known = (KeyringCustody.kind, PassphraseCustody.kind, FileCustody.kind)
        if custody not in known or type(identifier) is not str or type(record) is not dict:
            raise damaged
        return Profile(
            directory,
            identifier,
            custody,
            bytes.fromhex(str(fields["key_check"])),
            record,
            has_database=fields.get("database") is True,
        )
    except (KeyError, ValueError):
        raise damaged from None
