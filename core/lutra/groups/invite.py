"""Invites and the exchange that turns one into membership (sans-IO).

An invite is a 128-bit secret, written as letters and digits for people. From it both sides derive
what they need: the invite's id, the rendezvous by which the joining device finds the inviting one
on the network, and a proof for each direction. Proofs are bound to the handshake of the encrypted
channel, so that they are worth nothing on any other. The joining device speaks first, and the
inviting one reveals nothing but a refusal until the proof is right::

    joining   -> join(invite id, proof)
    inviting  -> accept(proof) | refused(reason)
    joining   -> request(sealing key)
    inviting  -> welcome(group id, control operations) | refused(reason)
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

from lutra.codec import decode, encode
from lutra.crypto.hashing import blake3_derive, blake3_hash, blake3_keyed, equal_constant_time
from lutra.crypto.random import Random
from lutra.errors import RemoteError
from lutra.groups.errors import InviteError, JoinRefusedError

SECRET_BYTES = 16
LINK_PREFIX = "lutra:join/"
_VERSION = 1
_CHECK_BYTES = 2
_GROUP_OF_LETTERS = 5
MAX_FRAME_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class InviteSecret:
    """An invite's secret; shown to people by `code` and `link` only on purpose."""

    secret: bytes

    @classmethod
    def generate(cls, random: Random) -> InviteSecret:
        """Make a new one from 128 random bits."""
        return cls(random(SECRET_BYTES))

    @classmethod
    def parse(cls, text: str) -> tuple[InviteSecret, tuple[str, ...]]:
        """Read a code or link; returns the secret and the addresses a link may carry.

        Raises:
            InviteError: a letter is wrong or missing, or the invite is of a newer kind.
        """
        text = text.strip()
        addresses: tuple[str, ...] = ()
        if text.lower().startswith(LINK_PREFIX):
            text, _, hints = text[len(LINK_PREFIX) :].partition("#")
            addresses = tuple(hint for hint in hints.split(",") if hint)
        letters = "".join(text.split()).replace("-", "").upper()
        letters = letters.translate(str.maketrans("018", "OLB"))
        try:
            raw = base64.b32decode(letters + "=" * (-len(letters) % 8))
        except ValueError:
            raw = b""
        payload, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
        if len(payload) != 1 + SECRET_BYTES or blake3_hash(payload)[:_CHECK_BYTES] != check:
            raise InviteError("This invite code is not complete or has a typing mistake.")
        if payload[0] != _VERSION:
            raise InviteError("This invite was made by a newer Lutra. Please update to use it.")
        return cls(payload[1:]), addresses

    def code(self) -> str:
        """Return the secret as groups of letters and digits, with a check sum."""
        payload = bytes([_VERSION]) + self.secret
        raw = payload + blake3_hash(payload)[:_CHECK_BYTES]
        letters = base64.b32encode(raw).decode().rstrip("=").lower()
        size = _GROUP_OF_LETTERS
        return "-".join(letters[start : start + size] for start in range(0, len(letters), size))

    def link(self, addresses: Sequence[str] = ()) -> str:
        """Return the invite as a link, with the inviting device's addresses if any."""
        hints = f"#{','.join(addresses)}" if addresses else ""
        return LINK_PREFIX + self.code().replace("-", "") + hints

    @property
    def id(self) -> bytes:
        """Names the invite to the device that made it; tells others nothing."""
        return blake3_derive("lutra invite id v1", self.secret)[:16]

    @property
    def rendezvous(self) -> bytes:
        """The secret behind the tags by which both devices find each other on the network."""
        return blake3_derive("lutra invite rendezvous v1", self.secret)

    def proof(self, role: str, handshake_hash: bytes, device: bytes) -> bytes:
        """Return the proof of knowing the secret, for one role, channel and device."""
        key = blake3_derive(f"lutra invite proof {role} v1", self.secret)
        return blake3_keyed(key, handshake_hash + device)

    def __repr__(self) -> str:
        return "InviteSecret(…)"


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the inviting device hands over: the group and its control operations.

    Attributes:
        group: the group's id.
        operations: (header, body) of each control operation, in causal order.
    """

    group: bytes
    operations: tuple[tuple[bytes, bytes], ...]


class _JoinerState(Enum):
    START = "start"
    PROVING = "proving"
    REQUESTING = "requesting"
    DONE = "done"


class Joiner:
    """The joining device's side: feed frames to `receive` until `welcome` is set."""

    def __init__(
        self,
        invite: InviteSecret,
        device: bytes,
        peer: bytes,
        handshake_hash: bytes,
        sealing: bytes,
    ) -> None:
        self._invite = invite
        self._device = device
        self._peer = peer
        self._handshake_hash = handshake_hash
        self._sealing = sealing
        self._state = _JoinerState.START
        self.welcome: Welcome | None = None

    def start(self) -> bytes:
        """Return the first frame."""
        self._state = _JoinerState.PROVING
        proof = self._invite.proof("joining", self._handshake_hash, self._device)
        return encode(["join", self._invite.id, proof])

    def receive(self, frame: bytes) -> bytes | None:
        """Take a frame; returns the answer, or None when there is none.

        Raises:
            JoinRefusedError: the inviting device refuses, or is not the inviting device.
            RemoteError: a frame has not its form.
        """
        name, fields = _frame(frame)
        if name == "refused" and len(fields) == 1:
            raise JoinRefusedError(
                "The other device did not accept this invite: it may be used up, expired or "
                "withdrawn. Ask for a new one."
            )
        if self._state is _JoinerState.PROVING and name == "accept" and len(fields) == 1:
            expected = self._invite.proof("inviting", self._handshake_hash, self._peer)
            if type(fields[0]) is not bytes or not equal_constant_time(fields[0], expected):
                raise JoinRefusedError(
                    "The device that answered is not the one that made this invite."
                )
            self._state = _JoinerState.REQUESTING
            return encode(["request", self._sealing])
        if self._state is _JoinerState.REQUESTING and name == "welcome" and len(fields) == 2:
            self.welcome = Welcome(_bytes(fields[0], 32), _operations(fields[1]))
            self._state = _JoinerState.DONE
            return None
        raise RemoteError("The other device sent something unexpected while joining.")


class _InviterState(Enum):
    WAITING = "waiting"
    ACCEPTED = "accepted"
    DONE = "done"


class Inviter:
    """The inviting device's side of one exchange.

    Args:
        device: this device's public key.
        peer: the joining device's public key, proven by the channel.
        handshake_hash: the channel's.
        find: returns the usable invite with an id, or None.
        admit: adds the peer with its sealing key under an invite, returns what it gets; raises
            `InviteError`, with nothing changed, if the invite was used up meanwhile.
    """

    def __init__(
        self,
        device: bytes,
        peer: bytes,
        handshake_hash: bytes,
        find: Callable[[bytes], InviteSecret | None],
        admit: Callable[[InviteSecret, bytes, bytes], Welcome],
    ) -> None:
        self._device = device
        self._peer = peer
        self._handshake_hash = handshake_hash
        self._find = find
        self._admit = admit
        self._state = _InviterState.WAITING
        self._invite: InviteSecret | None = None

    @property
    def done(self) -> bool:
        """True once the peer is a member and has been told."""
        return self._state is _InviterState.DONE

    def receive(self, frame: bytes) -> bytes:
        """Take a frame; returns the answer.

        Raises:
            RemoteError: a frame has not its form or its place.
        """
        name, fields = _frame(frame)
        if self._state is _InviterState.WAITING and name == "join" and len(fields) == 2:
            invite = self._find(_bytes(fields[0], 16))
            proof = _bytes(fields[1], 32)
            # Without an invite a random one is checked, so that timing tells nothing.
            checked = invite or InviteSecret(bytes(SECRET_BYTES))
            right = equal_constant_time(
                proof, checked.proof("joining", self._handshake_hash, self._peer)
            )
            if invite is None or not right:
                self._state = _InviterState.DONE
                return encode(["refused", "invite"])
            self._invite = invite
            self._state = _InviterState.ACCEPTED
            return encode(["accept", invite.proof("inviting", self._handshake_hash, self._device)])
        if self._state is _InviterState.ACCEPTED and name == "request" and len(fields) == 1:
            assert self._invite is not None
            self._state = _InviterState.DONE
            try:
                welcome = self._admit(self._invite, self._peer, _bytes(fields[0], 1216))
            except InviteError:
                return encode(["refused", "invite"])
            operations = [[header, body] for header, body in welcome.operations]
            return encode(["welcome", welcome.group, operations])
        raise RemoteError("A joining device sent something unexpected.")


def _frame(frame: bytes) -> tuple[str, list[Any]]:
    value = decode(frame, max_bytes=MAX_FRAME_BYTES)
    fields = cast("list[Any]", value) if type(value) is list else []
    if not fields or type(fields[0]) is not str:
        raise RemoteError("A message of the joining exchange has not its form.")
    return fields[0], fields[1:]


def _bytes(value: Any, length: int) -> bytes:
    if type(value) is not bytes or len(value) != length:
        raise RemoteError("A message of the joining exchange has not its form.")
    return value


def _operations(value: Any) -> tuple[tuple[bytes, bytes], ...]:
    if type(value) is not list:
        raise RemoteError("A message of the joining exchange has not its form.")
    return tuple(_pair(row) for row in cast("list[Any]", value))


def _pair(row: Any) -> tuple[bytes, bytes]:
    items = cast("list[Any]", row) if type(row) is list else []
    if len(items) != 2 or type(items[0]) is not bytes or type(items[1]) is not bytes:
        raise RemoteError("A message of the joining exchange has not its form.")
    return items[0], items[1]
