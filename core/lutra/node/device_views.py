"""What the node tells about a person's own devices and about pairing: frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class DeviceView:
    """One of this person's devices.

    Attributes:
        device: its public key.
        name: what it is called; empty where that cannot be read.
        me: it is this device.
        active: it belongs to the person still.
        online: it is connected right now.
    """

    device: bytes
    name: str
    me: bool
    active: bool
    online: bool


@dataclass(frozen=True, slots=True)
class PairingView:
    """A pairing under way, or the last one since the program started.

    Attributes:
        revision: grows with every change.
        state: ``ready``, ``connected``, ``confirming``, ``introducing``, ``comparing``,
            ``agreeing``, ``admitting``, ``delivering``, ``done``, ``failed`` or ``cancelled``.
        shows: this device shows the code; otherwise it was entered here.
        new: this device is the new one.
        code: the code to show, or empty.
        link: the link to show or to make a QR code of, with addresses; or empty.
        addresses: where the other device may find this one, to be typed there.
        comparison: the digits both devices must show; empty before there are any.
        asks: the person is to say whether both devices show the same digits.
        asks_to_merge: and that the identity on this device is to become part of the other one.
        person_name: what the other device's person is called, by its own word.
        device_name: what the other device is called, by its own word.
        device: the other device's key, once it has introduced itself; empty before.
        sentence: what people should know about how it ended; empty if all went well.
        strangers: how many connections proved not to be the other device.
        separate: groups that this device stays in under its earlier identity, after a merge.
    """

    revision: int
    state: str
    shows: bool
    new: bool
    code: str = field(default="", repr=False)
    link: str = field(default="", repr=False)
    addresses: tuple[str, ...] = ()
    comparison: str = ""
    asks: bool = False
    asks_to_merge: bool = False
    person_name: str = ""
    device_name: str = ""
    device: bytes = b""
    sentence: str = ""
    strangers: int = 0
    separate: tuple[bytes, ...] = ()

    @property
    def ended(self) -> bool:
        """It is over, one way or another."""
        return self.state in ("done", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class OfferView:
    """An offer to pair by files.

    Attributes:
        link: to pass on unseen; empty if it is a file.
        content: the file; empty if it is a link.
    """

    link: str = field(repr=False)
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RequestView:
    """A request that answers an offer.

    Attributes:
        digits: what both persons compare; empty where a link made that unnecessary.
        person_name: what the new device's person is called, if it has one.
        device_name: what the new device is called, by its own word.
        content: on the new device, the file to bring to the other one.
    """

    digits: str
    person_name: str
    device_name: str
    content: bytes = field(default=b"", repr=False)
