"""What every other layer knows of a group's membership and keys.

`lutra.groups.group.Group` is the first form behind it; nothing outside this package may depend on
more than stands here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from lutra.operation import Operation


@dataclass(frozen=True, slots=True)
class Member:
    """A device in (or once in) a group.

    Attributes:
        device: the device's public key.
        name: what its person wants to be called; empty until its card has arrived.
        device_name: what the device is called; empty until then.
        present: False once it was removed or left.
    """

    device: bytes
    name: str
    device_name: str
    present: bool


@dataclass(frozen=True, slots=True)
class Epoch:
    """A data key: its id, and the secret, which stays out of ``repr``."""

    id: bytes
    secret: bytes

    def __repr__(self) -> str:
        return f"Epoch(id={self.id.hex()[:16]}…)"


class Reception(Enum):
    """What became of a control operation."""

    ACCEPTED = "accepted"
    KNOWN = "known"
    WAITING = "waiting"
    """Operations it follows have not arrived yet: offer it again when they have."""
    REFUSED = "refused"
    """It breaks a rule; it has no effect, for everyone alike."""
    FOREIGN = "foreign"
    """Its author was not in the group when it was made; it is not even kept."""


class ControlSigner(Protocol):
    """Appends an operation to this device's control log of the group."""

    def sign_control(
        self,
        kind: str,
        body: bytes,
        *,
        epoch: bytes | None,
        secret: bytes | None,
        previous: tuple[bytes, ...],
    ) -> Operation:
        """Sign one control operation; with ``secret`` the body is encrypted under it first."""
        ...


class GroupKeys(Protocol):
    """A group's membership and keys, as one device sees them."""

    @property
    def id(self) -> bytes:
        """The group's id, 32 bytes."""
        ...

    @property
    def name(self) -> str:
        """The group's name; empty until it can be read."""
        ...

    @property
    def discovery_secret(self) -> bytes | None:
        """What members recognise one another's devices by; None until it can be read."""
        ...

    def receive(self, operation: Operation) -> Reception:
        """Take in a verified control operation, own ones included."""
        ...

    def heads(self) -> tuple[bytes, ...]:
        """Return the control operations nothing else follows, sorted."""
        ...

    def members(self) -> Sequence[Member]:
        """Return everybody who is or was in, in a stable order."""
        ...

    def is_member(self, device: bytes) -> bool:
        """Tell whether ``device`` is in, by all that is known here."""
        ...

    def require_membership(self) -> None:
        """Raise `NotAMemberError` unless this device is in the group."""
        ...

    def was_member(self, device: bytes, heads: tuple[bytes, ...]) -> bool | None:
        """Tell whether ``device`` was in as of ``heads``; None while one of these is unknown."""
        ...

    def current_epoch(self) -> Epoch | None:
        """Return the key for new text, or None while none may be used (the send gate)."""
        ...

    def secret(self, epoch: bytes) -> bytes | None:
        """Return the secret of an epoch, if this device holds it."""
        ...

    def add(self, signer: ControlSigner, device: bytes, sealing_key: bytes) -> list[Operation]:
        """Add a device and give it the keys."""
        ...

    def remove(self, signer: ControlSigner, device: bytes) -> list[Operation]:
        """Remove a device and change the keys."""
        ...

    def reconcile(self, signer: ControlSigner) -> list[Operation]:
        """Bring keys in line with membership; returns nothing where nothing is to be done."""
        ...

    def reconcile_rank(self) -> int | None:
        """Return this device's turn to reconcile (0 = now), or None where nothing is to be done."""
        ...
