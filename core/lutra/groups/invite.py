"""Invites and the exchange that turns one into membership (sans-IO).

An invite is a 128-bit secret, written as letters and digits for people. From it both sides derive
what they need: the invite's id, the rendezvous by which the joining device finds the inviting one
on the network, and a proof for each direction. Proofs are bound to the handshake of the encrypted
channel, so that they are worth nothing on any other. The joining device speaks first, and the
inviting one reveals nothing but a refusal until the proof is right::

    joining   -> join(invite id, proof)
    inviting  -> accept(proof) | refused(reason)
    joining   -> request(statements about its person, names)
    inviting  -> admitted(group id, discovery secret) | pending | refused(reason)

Who is admitted then meets the group's members as one of them; its keys come with the group's
control operations. Who has to wait for somebody's approval asks again later.
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
from lutra.groups.cards import MAX_NAME_LENGTH
from lutra.groups.contents import MAX_EVIDENCE
from lutra.groups.errors import InviteError, JoinRefusedError

SECRET_BYTES = 16
LINK_PREFIX = "lutra:join/"
_VERSION = 1
_CHECK_BYTES = 2
_GROUP_OF_LETTERS = 5
MAX_FRAME_BYTES = 1024 * 1024


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
class JoinRequest:
    """Who wants to be let in.

    Attributes:
        device: the asking device's key, proven by the channel.
        evidence: statements that say which person it belongs to.
        name: how that person wants to be called.
        device_name: how the device is called.
    """

    device: bytes
    evidence: tuple[bytes, ...]
    name: str
    device_name: str


@dataclass(frozen=True, slots=True)
class Admission:
    """What somebody who was let in gets: where to go, and what its members recognise each other by.

    Attributes:
        group: the group's id.
        discovery_secret: see `lutra.groups.ids.discovery_secret`.
    """

    group: bytes
    discovery_secret: bytes

    def __repr__(self) -> str:
        return f"Admission(group={self.group.hex()[:16]}…)"


class _JoinerState(Enum):
    START = "start"
    PROVING = "proving"
    REQUESTING = "requesting"
    DONE = "done"


class Joiner:
    """The joining device's side: feed frames to `receive` until `finished`.

    Attributes:
        admission: where to go, once admitted.
    """

    def __init__(
        self,
        invite: InviteSecret,
        request: JoinRequest,
        peer: bytes,
        handshake_hash: bytes,
    ) -> None:
        self._invite = invite
        self._request = request
        self._peer = peer
        self._handshake_hash = handshake_hash
        self._state = _JoinerState.START
        self.admission: Admission | None = None

    @property
    def finished(self) -> bool:
        """The exchange is over; without `admission` somebody there has to approve first."""
        return self._state is _JoinerState.DONE

    def start(self) -> bytes:
        """Return the first frame."""
        self._state = _JoinerState.PROVING
        proof = self._invite.proof("joining", self._handshake_hash, self._request.device)
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
            own = self._request
            return encode(["request", list(own.evidence), own.name, own.device_name])
        if self._state is _JoinerState.REQUESTING and name == "admitted" and len(fields) == 2:
            self.admission = Admission(_bytes(fields[0], 32), _bytes(fields[1], 32))
            self._state = _JoinerState.DONE
            return None
        if self._state is _JoinerState.REQUESTING and name == "pending" and not fields:
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
        admit: lets the peer in under an invite and returns what it gets, or None while somebody
            has to approve; raises `InviteError`, with nothing changed, if the invite was used up
            meanwhile or the request is refused.
    """

    def __init__(
        self,
        device: bytes,
        peer: bytes,
        handshake_hash: bytes,
        find: Callable[[bytes], InviteSecret | None],
        admit: Callable[[InviteSecret, JoinRequest], Admission | None],
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
        """True once the peer has been told what became of its wish."""
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
        if self._state is _InviterState.ACCEPTED and name == "request" and len(fields) == 3:
            assert self._invite is not None
            self._state = _InviterState.DONE
            names = (_name(fields[1]), _name(fields[2]))
            request = JoinRequest(self._peer, _evidence(fields[0]), *names)
            try:
                admission = self._admit(self._invite, request)
            except InviteError:
                return encode(["refused", "invite"])
            if admission is None:
                return encode(["pending"])
            return encode(["admitted", admission.group, admission.discovery_secret])
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


def _evidence(value: Any) -> tuple[bytes, ...]:
    items = cast("list[Any]", value) if type(value) is list else []
    if not 1 <= len(items) <= MAX_EVIDENCE or any(type(item) is not bytes for item in items):
        raise RemoteError("A message of the joining exchange has not its form.")
    return tuple(items)


def _name(value: Any) -> str:
    if type(value) is not str or not 0 < len(value) <= MAX_NAME_LENGTH:
        raise RemoteError("A message of the joining exchange has not its form.")
    return value
