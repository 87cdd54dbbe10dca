"""What can go wrong with persons, their devices and pairing."""

from __future__ import annotations

from lutra.errors import LocalError, NotPermittedError, RemoteError, UsageError


class DeviceLogError(RemoteError):
    """An operation of a person's device log breaks a rule of its form."""

    code = "identity.device-log"


class DeviceNotInPersonError(NotPermittedError):
    """The device is not, or no longer, one of the person's devices."""

    code = "identity.not-in-person"


class DeviceKnownError(LocalError):
    """The device was added before; a device comes back under a fresh key only."""

    code = "identity.device-known"


class WordsError(UsageError):
    """Words that were typed in are not the ones that were written down.

    Attributes (in ``details``): ``words``: the places, from 1, of words that are wrong.
    """

    code = "identity.words"


class PairingCodeError(UsageError):
    """A pairing code or link is incomplete or has a typing mistake."""

    code = "identity.pairing-code"


class PairingStateError(LocalError):
    """Pairing is not at the step at which this can be done."""

    code = "identity.pairing-state"


class PairingFileError(RemoteError):
    """A pairing file is damaged, was changed, or belongs to another pairing."""

    code = "identity.pairing-file"
