"""What is told about persons: frozen values for windows and the command line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PersonDeviceView:
    """A device of a person.

    Attributes:
        device: its public key.
        name: how it is called; empty while unknown.
        active: False once it was removed.
        me: it is this device.
    """

    device: bytes
    name: str
    active: bool
    me: bool


@dataclass(frozen=True, slots=True)
class PersonView:
    """A person.

    Attributes:
        id: the person's id.
        name: what it calls itself in groups; empty while unknown.
        me: it is this device's person.
        devices: its devices, the most senior first, removed ones included.
        kits: how many recovery kits are valid.
        groups: ids of the groups shared with it.
        trust: ``unverified``, ``verified``, or ``changed`` since it was verified.
        unseen: the change was not shown yet; see `Acquaintances.mark_seen`.
    """

    id: bytes
    name: str
    me: bool
    devices: tuple[PersonDeviceView, ...]
    kits: int
    groups: tuple[bytes, ...]
    trust: str
    unseen: bool


@dataclass(frozen=True, slots=True)
class SafetyNumberView:
    """The number two persons compare.

    Attributes:
        person: with whom.
        number: twelve groups of five digits.
        qr: what a QR code of it holds.
        trust: as in `PersonView`.
    """

    person: bytes
    number: tuple[str, ...]
    qr: str
    trust: str


@dataclass(frozen=True, slots=True)
class KitView:
    """A recovery kit of this person.

    Attributes:
        key: its public key.
        mark: letters that stand on its sheet too.
        active: it can be used; False once it was withdrawn.
        made: when it was added, in milliseconds.
    """

    key: bytes
    mark: str
    active: bool
    made: int
