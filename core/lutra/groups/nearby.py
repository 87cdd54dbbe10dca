"""People nearby: how two who share nothing yet see each other's names and compare digits (sans-IO).

A person who is visible answers whoever looks. Whoever looks says nothing about itself until it
invites; then both see the same six digits, and only if they are the same on both screens is there
nobody in between::

    looking -> look
    visible -> here(token, name, device name)
    looking -> invite(commitment)
    visible -> nonce(nonce)                          | no
    looking -> reveal(name, device name, link, blinding)
    visible -> no                                    if its person does not want to

The token is random and the same for as long as its person stays visible, so that somebody who is
found twice is listed once. The link is an invite for one person, to be approved by hand after the
digits were compared; whoever wants to come uses it as any other.

The visible side counts an invitation before it says its nonce: whoever stands in between would have
to try again and again until its digits happen to be alike, and is let try a few times only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from lutra.codec import decode, encode
from lutra.crypto.hashing import blake3_derive
from lutra.crypto.random import Random
from lutra.errors import RemoteError
from lutra.groups.errors import JoinRefusedError
from lutra.groups.foreign_names import foreign_name
from lutra.groups.invite_keys import Channel
from lutra.identity.key_agreement import commit, digits

RENDEZVOUS = blake3_derive("lutra nearby rendezvous v1", b"")
"""The same for everybody: it says that some Lutra is looking for company, and not whose."""
MAX_FRAME_BYTES = 4096
TOKEN_BYTES = 16
_NONCE_BYTES = 32
_MAX_LINK = 1024


@dataclass(frozen=True, slots=True)
class Names:
    """What somebody calls itself and its device; by its own word."""

    name: str
    device_name: str


@dataclass(frozen=True, slots=True)
class Offer:
    """An invitation that has arrived.

    Attributes:
        names: who invites, by its own word.
        link: an invite.
        comparison: the digits both sides show.
    """

    names: Names
    link: str
    comparison: str

    def __repr__(self) -> str:
        return f"Offer({self.names})"


class Looking:
    """The side that looks who is there, and may invite."""

    def __init__(self, channel: Channel, random: Random) -> None:
        self._channel = channel
        self._blinding = random(_NONCE_BYTES)
        self._card = b""
        self._names: Names | None = None
        self.token = b""
        self._revealed = False
        self.comparison = ""

    @property
    def names(self) -> Names | None:
        """Who is there; None before it has answered."""
        return self._names

    def start(self) -> bytes:
        """Return the first frame."""
        return encode(["look"])

    def invite(self, own: Names, link: str) -> bytes:
        """Return the frame that begins an invitation; once, after `names` are known."""
        self._card = encode([own.name, own.device_name, link])
        return encode(["invite", commit(self._card, self._blinding)])

    def receive(self, frame: bytes) -> bytes | None:
        """Take a frame; returns the answer, or None when there is none.

        Raises:
            JoinRefusedError: the person there does not want to be invited.
            RemoteError: a frame has not its form or its place.
        """
        name, fields = _frame(frame)
        if name == "here" and self._names is None and len(fields) == 3:
            self.token = _bytes(fields[0], TOKEN_BYTES)
            self._names = Names(foreign_name(fields[1]), foreign_name(fields[2]))
            return None
        if name == "nonce" and self._card and not self._revealed and len(fields) == 1:
            nonce = _bytes(fields[0], _NONCE_BYTES)
            self._revealed = True
            self.comparison = _digits(self._channel, self._card, nonce, self._blinding)
            return encode(["reveal", self._card, self._blinding])
        if name == "no" and self._card and not fields:
            raise JoinRefusedError("The person you invited does not want to join.")
        raise RemoteError("A device nearby sent something unexpected.")


class Visible:
    """The side that can be seen."""

    def __init__(self, channel: Channel, token: bytes, own: Names, random: Random) -> None:
        self._channel = channel
        self._token = token
        self._own = own
        self._nonce = random(_NONCE_BYTES)
        self._commitment = b""
        self._met = False
        self.offer: Offer | None = None

    @property
    def asked(self) -> bool:
        """An invitation has begun: it counts, whatever becomes of it."""
        return bool(self._commitment)

    def receive(self, frame: bytes) -> bytes | None:
        """Take a frame; returns the answer, or None when there is none.

        Raises:
            RemoteError: a frame has not its form or its place.
        """
        name, fields = _frame(frame)
        if name == "look" and not self._met and not fields:
            self._met = True
            return encode(["here", self._token, self._own.name, self._own.device_name])
        if name == "invite" and self._met and not self._commitment and len(fields) == 1:
            self._commitment = _bytes(fields[0], 32)
            return encode(["nonce", self._nonce])
        if name == "reveal" and self._commitment and self.offer is None and len(fields) == 2:
            self._take(_card(fields[0]), _bytes(fields[1], _NONCE_BYTES))
            return None
        raise RemoteError("A device nearby sent something unexpected.")

    def decline(self) -> bytes:
        """Return the frame that says no."""
        return encode(["no"])

    def _take(self, card: bytes, blinding: bytes) -> None:
        if commit(card, blinding) != self._commitment:
            raise RemoteError("A device nearby is another one than it had committed to.")
        value = decode(card, max_bytes=MAX_FRAME_BYTES, max_depth=2)
        fields = cast("list[Any]", value) if type(value) is list else []
        if len(fields) != 3 or type(fields[2]) is not str or len(fields[2]) > _MAX_LINK:
            raise RemoteError("An invitation nearby has not its form.")
        names = Names(foreign_name(fields[0]), foreign_name(fields[1]))
        self.offer = Offer(names, fields[2], _digits(self._channel, card, self._nonce, blinding))


def _digits(channel: Channel, card: bytes, nonce: bytes, blinding: bytes) -> str:
    said = encode([channel.binding(), card, nonce, blinding])
    return digits("lutra nearby comparison v1", said)


def _frame(frame: bytes) -> tuple[str, list[Any]]:
    value = decode(frame, max_bytes=MAX_FRAME_BYTES, max_depth=2)
    fields = cast("list[Any]", value) if type(value) is list else []
    if not fields or type(fields[0]) is not str:
        raise RemoteError("A message of a device nearby has not its form.")
    return fields[0], fields[1:]


def _bytes(value: Any, length: int) -> bytes:
    if type(value) is not bytes or len(value) != length:
        raise RemoteError("A message of a device nearby has not its form.")
    return value


def _card(value: Any) -> bytes:
    if type(value) is not bytes:
        raise RemoteError("A message of a device nearby has not its form.")
    return value
