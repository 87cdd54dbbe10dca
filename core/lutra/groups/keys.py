"""What a group says about its members and keys, and what it asks of whoever keeps its log."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from lutra.groups.contents import Role
from lutra.operation import Operation


@dataclass(frozen=True, slots=True)
class Member:
    """A device in (or once in) a group.

    Attributes:
        device: the device's public key.
        name: what its person wants to be called; empty until its card has arrived.
        device_name: what the device is called; empty until then.
        present: False once it was removed or left.
        person: id of the person it belongs to.
        role: what it may do; None once it is out.
    """

    device: bytes
    name: str
    device_name: str
    present: bool
    person: bytes
    role: Role | None


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
