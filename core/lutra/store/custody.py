"""Where the database's key is kept: the system's keyring, a passphrase, or a private file.

Each custody turns the key into a record, a few plain values for ``profile.json`` from which, with
its help, the key comes back. The record never holds the key itself in the clear.
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, cast

from lutra.crypto import aead
from lutra.crypto.kdf import SALT_BYTES, passphrase_key
from lutra.crypto.random import Random, system_random
from lutra.errors import DecryptionError
from lutra.store.errors import (
    KeyringError,
    PassphraseNeededError,
    ProfileError,
    WrongPassphraseError,
)
from lutra.store.files import write_private

Record = Mapping[str, str | int]

KEY_FILE = "key"
PROBE_SECONDS = 2.0
UNLOCK_SECONDS = 60.0
_SERVICE = "lutra"
_WRAP_CONTEXT = b"lutra profile key 1"
# Argon2id cost: libsodium's "moderate", about half a second.
PASSES = 3
MEMORY_BYTES = 256 * 1024**2
# More than any profile was ever written with: a doctored file must not exhaust the memory.
_PASSES_ALLOWED = range(1, 65)
_MEMORY_ALLOWED = range(8192, 2 * 1024**3 + 1)
_T = TypeVar("_T")


class Custody(Protocol):
    """One way to keep a key."""

    kind: ClassVar[str]

    def keep(self, profile: str, key: bytes) -> Record:
        """Keep ``key`` for the profile with this id; returns what `recall` will need."""
        ...

    def recall(self, profile: str, record: Record) -> bytes:
        """Bring the key back."""
        ...

    def forget(self, profile: str) -> None:
        """Destroy what was kept outside the record."""
        ...


class FileCustody:
    """A file in the profile's folder that only this user may read."""

    kind: ClassVar[str] = "file"

    def __init__(self, directory: Path) -> None:
        self._path = directory / KEY_FILE

    def keep(self, profile: str, key: bytes) -> Record:
        """Write the key file."""
        del profile
        write_private(self._path, key.hex().encode() + b"\n")
        return {}

    def recall(self, profile: str, record: Record) -> bytes:
        """Read the key file, taking from others the right to read it.

        Raises:
            ProfileError: the file is missing or is no key.
        """
        del profile, record
        try:
            self._path.chmod(0o600)
            return bytes.fromhex(self._path.read_text("ascii"))
        except (OSError, ValueError):
            raise ProfileError(
                "The profile's key file is missing or damaged.", path=str(self._path)
            ) from None

    def forget(self, profile: str) -> None:
        """Delete the key file."""
        del profile
        self._path.unlink(missing_ok=True)


class PassphraseCustody:
    """A key wrapped (XChaCha20-Poly1305) by Argon2id of a passphrase; nothing else is kept."""

    kind: ClassVar[str] = "passphrase"

    def __init__(
        self,
        passphrase: str | None,
        *,
        opslimit: int = PASSES,
        memlimit: int = MEMORY_BYTES,
        random: Random = system_random,
    ) -> None:
        self._passphrase = unicodedata.normalize("NFC", passphrase or "")
        self._opslimit = opslimit
        self._memlimit = memlimit
        self._random = random

    def keep(self, profile: str, key: bytes) -> Record:
        """Wrap the key.

        Raises:
            PassphraseNeededError: the passphrase is empty.
        """
        salt = self._random(SALT_BYTES)
        wrapping = self._derive(salt, self._opslimit, self._memlimit)
        return {
            "salt": salt.hex(),
            "opslimit": self._opslimit,
            "memlimit": self._memlimit,
            "wrapped": aead.seal(wrapping, key, _context(profile), self._random).hex(),
        }

    def recall(self, profile: str, record: Record) -> bytes:
        """Open the wrap.

        Raises:
            PassphraseNeededError: no passphrase was given.
            WrongPassphraseError: it is not the right one.
            ProfileError: the record is damaged.
        """
        try:
            salt = bytes.fromhex(str(record["salt"]))
            wrapped = bytes.fromhex(str(record["wrapped"]))
            opslimit, memlimit = int(record["opslimit"]), int(record["memlimit"])
        except (KeyError, ValueError):
            raise ProfileError("The profile's description is damaged.") from None
        if (
            len(salt) != SALT_BYTES
            or opslimit not in _PASSES_ALLOWED
            or memlimit not in _MEMORY_ALLOWED
        ):
            raise ProfileError("The profile's description is damaged.")
        try:
            return aead.unseal(self._derive(salt, opslimit, memlimit), wrapped, _context(profile))
        except DecryptionError:
            raise WrongPassphraseError("The passphrase is not right.") from None

    def forget(self, profile: str) -> None:
        """Do nothing: all of it is in the record."""

    def _derive(self, salt: bytes, opslimit: int, memlimit: int) -> bytes:
        if not self._passphrase:
            raise PassphraseNeededError("This profile is locked with a passphrase.")
        return passphrase_key(self._passphrase, salt, opslimit=opslimit, memlimit=memlimit)

    def __repr__(self) -> str:
        return "PassphraseCustody(…)"


class KeyringCustody:
    """The operating system's keyring.

    A keyring may hang (a bus without a service) or ask the person, so every call has a limit.
    """

    kind: ClassVar[str] = "keyring"

    def __init__(self, seconds: float = UNLOCK_SECONDS) -> None:
        self._seconds = seconds

    def keep(self, profile: str, key: bytes) -> Record:
        """Put the key into the keyring and read it back.

        Raises:
            KeyringError: there is no real keyring, or it does not answer in time.
        """

        def put() -> bool:
            import keyring

            # The library's own threshold between real keyrings and makeshift ones.
            if float(cast("Any", keyring.get_keyring()).priority) < 1:
                return False
            keyring.set_password(_SERVICE, profile, key.hex())
            return keyring.get_password(_SERVICE, profile) == key.hex()

        if not _within(self._seconds, put):
            raise KeyringError("This system has no keyring that works.")
        return {}

    def recall(self, profile: str, record: Record) -> bytes:
        """Ask the keyring for the key.

        Raises:
            KeyringError: it does not have the key or does not answer in time.
        """
        del record

        def get() -> str | None:
            import keyring

            return keyring.get_password(_SERVICE, profile)

        found = _within(self._seconds, get)
        try:
            return bytes.fromhex(found or "-")
        except ValueError:
            raise KeyringError("The system's keyring does not have this profile's key.") from None

    def forget(self, profile: str) -> None:
        """Delete the key from the keyring.

        Raises:
            KeyringError: the keyring refuses or does not answer in time.
        """

        def delete() -> None:
            import keyring

            keyring.delete_password(_SERVICE, profile)

        _within(self._seconds, delete)


def _within(seconds: float, call: Callable[[], _T]) -> _T:
    """Run ``call`` on a thread of its own and wait for it at most ``seconds``."""
    results: list[_T] = []
    errors: list[Exception] = []

    def work() -> None:
        try:
            results.append(call())
        except Exception as error:  # noqa: BLE001 - backends raise whatever their library raises
            errors.append(error)

    # A daemon: a keyring that never answers must not keep the program from ending.
    thread = threading.Thread(target=work, name="lutra-keyring", daemon=True)
    thread.start()
    thread.join(seconds)
    if results:
        return results[0]
    # The backend's own words stay out of the message: they may name what was asked for.
    reason = type(errors[0]).__name__ if errors else "timeout"
    raise KeyringError("The system's keyring does not answer.", reason=reason)


def _context(profile: str) -> bytes:
    return _WRAP_CONTEXT + profile.encode()
