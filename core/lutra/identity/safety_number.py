"""Safety numbers: what two persons compare to know that nobody stands between them.

A person is represented by its id and the keys of its devices in use: the id alone, which commits
only to the first device, would not tell that a device was slipped in since. Each person is hashed
many times, so that finding another person with similar digits costs as much for each try, and
yields 30 digits; the lower number comes first, so that both sides see the same 60.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from lutra.codec import encode
from lutra.crypto.hashing import blake3_derive, equal_constant_time
from lutra.errors import UsageError

_ROUNDS = 5200
_GROUPS_PER_PERSON = 6
_DIGITS = 5
_QR_PREFIX = "LUTRA:SAFETY/1/"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What stands for one person: 32 bytes over its id and the keys that may act for it."""

    value: bytes

    @classmethod
    def of(cls, person: bytes, keys: Iterable[bytes]) -> Fingerprint:
        """Return the fingerprint of a person with these devices and recovery keys."""
        content = encode([person, sorted(set(keys))])
        return cls(blake3_derive("lutra person fingerprint v1", content))

    def digits(self) -> tuple[str, ...]:
        """Return six groups of five digits."""
        state = b"lutra safety number v1\0" + self.value
        for _ in range(_ROUNDS):
            state = hashlib.sha512(state + self.value).digest()
        return tuple(
            f"{int.from_bytes(state[start : start + 8], 'big') % 10**_DIGITS:0{_DIGITS}}"
            for start in range(0, _GROUPS_PER_PERSON * 8, 8)
        )


@dataclass(frozen=True, slots=True)
class SafetyNumber:
    """The number of two persons; the same on both sides.

    Attributes:
        groups: twelve groups of five digits.
        qr: payload of a QR code that holds both full fingerprints.
    """

    groups: tuple[str, ...]
    qr: str

    @classmethod
    def between(cls, mine: Fingerprint, theirs: Fingerprint) -> SafetyNumber:
        """Return the number of two persons, whichever is named first."""
        low, high = sorted((mine, theirs), key=lambda one: one.value)
        letters = base64.b32encode(low.value + high.value).decode().rstrip("=")
        return cls(low.digits() + high.digits(), _QR_PREFIX + letters)

    def text(self) -> str:
        """Return three lines of four groups."""
        rows = [self.groups[start : start + 4] for start in range(0, len(self.groups), 4)]
        return "\n".join(" ".join(row) for row in rows)

    def matches(self, scanned: str) -> bool:
        """Tell whether a scanned QR payload shows the same number.

        Raises:
            UsageError: what was scanned is no safety number.
        """
        if not scanned.strip().upper().startswith(_QR_PREFIX):
            raise UsageError("This QR code does not show a safety number.")
        return equal_constant_time(scanned.strip().upper().encode(), self.qr.encode())


class Trust(Enum):
    """What this person knows about another's keys."""

    UNVERIFIED = "unverified"
    VERIFIED = "verified"
    CHANGED = "changed"
    """They were verified and are others now: to be said loudly until compared again."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What to remember about another person; a pure value to be stored.

    Attributes:
        current: the fingerprint as of now.
        verified: the fingerprint that was compared, if any.
        seen: the fingerprint at which the person was last told of a change; not a statement of
            trust.
    """

    current: Fingerprint
    verified: Fingerprint | None = None
    seen: Fingerprint | None = None

    @property
    def trust(self) -> Trust:
        """Whether the keys in use are the ones that were compared."""
        if self.verified is None:
            return Trust.UNVERIFIED
        return Trust.VERIFIED if self.verified == self.current else Trust.CHANGED

    @property
    def announce(self) -> bool:
        """True while a change of verified keys has not been shown yet."""
        return self.trust is Trust.CHANGED and self.seen != self.current

    def observe(self, current: Fingerprint) -> Verification:
        """Return what to remember once the keys in use are ``current``."""
        return replace(self, current=current)

    def shown(self) -> Verification:
        """Return what to remember once the change has been shown; it stays unverified."""
        return replace(self, seen=self.current)

    def verify(self, compared: Fingerprint) -> Verification:
        """Return what to remember once the person has compared the number of ``compared``.

        Raises:
            UsageError: the keys changed while the numbers were being compared.
        """
        if compared != self.current:
            raise UsageError("The keys changed while you compared. Please compare the new number.")
        return Verification(self.current, compared, self.current)

    def withdraw(self) -> Verification:
        """Return what to remember once the person no longer vouches for the keys."""
        return Verification(self.current)
