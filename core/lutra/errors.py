"""The one hierarchy of errors.

Four branches say whose fault it was, because that decides what happens next:

* `LocalError`: the caller asked for something that cannot be done; nothing changed.
* `RemoteError`: a peer, a file or a link sent something that breaks a rule; it is refused and
  nothing of it is kept.
* `EnvironmentalError`: disk, network, keyring or operating system failed; try again or repair.
* `BugError`: Lutra itself is wrong; please report it.

`str(error)` is one sentence (or two) for people, free of secrets. Programs read `code` and
`details`.
"""

from __future__ import annotations

from typing import ClassVar


class LutraError(Exception):
    """Base of every error Lutra raises.

    Attributes:
        code: a stable, dotted name for programs, for example ``"codec.malformed"``.
        message: one plain sentence for people.
        details: values for programs; never secrets.
    """

    code: ClassVar[str] = "lutra"

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, object] = details

    def to_dict(self) -> dict[str, object]:
        """Return the error as plain values, as ``--json`` and the local socket show it."""
        return {"error": self.code, "message": self.message, **self.details}


class LocalError(LutraError):
    """The caller's request cannot be carried out; nothing was changed."""

    code = "local"


class RemoteError(LutraError):
    """A peer, file or link broke a rule; what it sent is refused."""

    code = "remote"


class EnvironmentalError(LutraError):
    """Disk, network, keyring or operating system failed."""

    code = "environment"


class BugError(LutraError):
    """Lutra broke a rule of its own."""

    code = "bug"


class MalformedError(RemoteError):
    """Bytes do not have the form their format demands."""

    code = "malformed"


class SignatureError(RemoteError):
    """A signature does not fit its content and key."""

    code = "signature"


class DecryptionError(RemoteError):
    """A ciphertext does not open under the key and context at hand."""

    code = "decryption"


class UsageError(LocalError):
    """A request names things in a way that cannot be understood."""

    code = "usage"


class NotFoundError(LocalError):
    """The thing a request names is not here."""

    code = "not-found"


class NotPermittedError(LocalError):
    """The person or device may not do this."""

    code = "not-permitted"
