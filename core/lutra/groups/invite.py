"""The exchange that turns an invite into membership (sans-IO).

The joining device speaks first. Until it has proven that it knows the secret it learns nothing, and
what it says about itself can be read only by a device that knows the secret too::

    joining   -> join(locator, share, commitment to its card)
    inviting  -> answer(share)                       | refused
    joining   -> request(proof, sealed: card, signature of its device)
    inviting  -> reply(proof, sealed: admitted(group id, …) | pending | refused(why))
    inviting  -> reply(…)                            later, to whoever stayed after ``pending``
    joining   -> offer(sealed: key package)          after ``admitted``, if it likes

The proof of the joining side comes first because a short code can be guessed: whoever answers for
an inviting device gets one guess, and so does whoever asks. Both sides' codes are dead after a
wrong one, so one side must not ask twice with the same short code.

Who is admitted then meets the group's members as one of them; its keys come with the group's
control operations. To offer a key package it has to know these, which takes time where they are
many: given to the inviting device already here, its keys are made meanwhile. Whoever has to wait,
or was cut off, comes back with the *ticket* that both derived: a 128-bit secret used like an
invite's, which leads to the same request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, cast

from lutra.codec import decode, encode
from lutra.crypto.random import Random
from lutra.crypto.signing import is_signature
from lutra.errors import MalformedError, RemoteError
from lutra.groups.contents import MAX_EVIDENCE, Offer
from lutra.groups.errors import JoinRefusedError
from lutra.groups.foreign_names import foreign_name
from lutra.groups.invite_keys import (
    LOCATOR_BYTES,
    NUMBER_BYTES,
    Channel,
    Exchange,
    JoinKeys,
    Side,
    locator,
)
from lutra.groups.invite_secret import InviteSecret
from lutra.identity.key_agreement import SHARE_BYTES, commit

MAX_FRAME_BYTES = 256 * 1024
MAX_OPENING_BYTES = 512
"""Of frames from somebody who has proven nothing yet."""
_PROOF_BYTES = 32
_BLINDING_BYTES = 32


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """Who wants to be let in.

    Attributes:
        device: the asking device's key.
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
        device: the inviting device.
        suite: the group's MLS cipher suite.
    """

    group: bytes
    discovery_secret: bytes
    device: bytes
    suite: int

    def __repr__(self) -> str:
        return f"Admission(group={self.group.hex()[:16]}…)"


class Refusal(Enum):
    """Why somebody who knew the secret is not let in; the value goes over the wire."""

    EXPIRED = "expired"
    USED = "used"
    WITHDRAWN = "withdrawn"
    DECLINED = "declined"
    CROWDED = "crowded"
    PERSON = "person"

    @property
    def sentence(self) -> str:
        """Say it to the person who wanted to join."""
        return _SENTENCES[self]


_SENTENCES = {
    Refusal.EXPIRED: "This invite has expired. Ask for a new one.",
    Refusal.USED: "This invite was used by somebody else already. Ask for a new one.",
    Refusal.WITHDRAWN: "This invite was withdrawn. Ask for a new one.",
    Refusal.DECLINED: "Somebody in the group has declined. Only a new invite leads in.",
    Refusal.CROWDED: "Too many people wait to be let in there. Try again later.",
    Refusal.PERSON: "The inviting device could not make out whose this device is.",
}
UNPROVEN = (
    "The device that answered does not know this invite: it may be withdrawn, or made by another."
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a request: admitted, refused, or, with neither, to wait."""

    admission: Admission | None = None
    refusal: Refusal | None = None


PENDING = Verdict()


class _JoinerState(Enum):
    START = "start"
    ASKING = "asking"
    REQUESTING = "requesting"
    WAITING = "waiting"
    DONE = "done"


class Joiner:
    """The joining device's side: feed frames to `receive` until `finished` or `waiting`.

    Args:
        secret: the invite's, or the ticket of an earlier exchange.
        request: how this device introduces itself.
        sign: signs with the device's key.
        channel: what the exchange runs on.
        random: source of shares and nonces.

    Attributes:
        admission: where to go, once admitted.
        ticket: to come back with, from the moment `receive` returns the request on; to be kept
            before that request is sent.
        comparison: the digits both sides show.
    """

    def __init__(
        self,
        secret: InviteSecret,
        request: JoinRequest,
        sign: Callable[[bytes], bytes],
        channel: Channel,
        random: Random,
    ) -> None:
        self._secret = secret
        self._sign = sign
        self._channel = channel
        self._random = random
        self._card = encode(
            [request.device, list(request.evidence), request.name, request.device_name]
        )
        self._blinding = random(_BLINDING_BYTES)
        self._exchange = Exchange(secret, Side.JOINING, channel, random)
        self._keys: JoinKeys | None = None
        self._state = _JoinerState.START
        self.admission: Admission | None = None
        self.ticket: InviteSecret | None = None
        self.comparison = ""

    @property
    def finished(self) -> bool:
        """The exchange is over: `admission` is there."""
        return self._state is _JoinerState.DONE

    @property
    def waiting(self) -> bool:
        """Somebody there has to approve; staying on the channel brings the answer at once."""
        return self._state is _JoinerState.WAITING

    @property
    def has_proven(self) -> bool:
        """The proof has been given away: a short code is used up whatever comes now."""
        return self._keys is not None

    def start(self) -> bytes:
        """Return the first frame."""
        self._state = _JoinerState.ASKING
        where = locator(self._secret, self._channel)
        commitment = commit(self._card, self._blinding)
        return encode(["join", where, self._exchange.share, commitment])

    def receive(self, frame: bytes) -> bytes | None:
        """Take a frame; returns the answer, or None when there is none.

        Raises:
            JoinRefusedError: the inviting device refuses; ``details["proven"]`` tells whether it
                has shown that it is the one. If not, the right one may still be found.
            RemoteError: a frame has not its form.
        """
        name, fields = _frame(frame, MAX_FRAME_BYTES)
        if name == "refused" and not fields:
            raise JoinRefusedError(UNPROVEN, proven=False)
        if self._state is _JoinerState.ASKING and name == "answer" and len(fields) == 1:
            return self._request(_bytes(fields[0], SHARE_BYTES))
        asked = self._state in (_JoinerState.REQUESTING, _JoinerState.WAITING)
        if asked and name == "reply" and len(fields) == 2:
            self._take_reply(_bytes(fields[0], _PROOF_BYTES), fields[1])
            return None
        raise RemoteError("The other device sent something unexpected while joining.")

    def offer(self, offer: Offer) -> bytes:
        """Return the frame that gives a key package to the device that has admitted this one."""
        keys = self._keys
        assert keys is not None
        fields = ["offer", offer.key_package, offer.signature]
        return encode(["offer", keys.seal(Side.JOINING, fields, self._random)])

    def _request(self, share: bytes) -> bytes:
        keys = self._exchange.finish(share, commit(self._card, self._blinding))
        self._keys = keys
        self.ticket = keys.ticket()
        self.comparison = keys.comparison(self._card, self._blinding)
        self._state = _JoinerState.REQUESTING
        signature = self._sign(keys.signed(self._card))
        sealed = keys.seal(Side.JOINING, [self._card, self._blinding, signature], self._random)
        return encode(["request", keys.proof(Side.JOINING), sealed])

    def _take_reply(self, proof: bytes, sealed: Any) -> None:
        keys = self._keys
        assert keys is not None
        if not keys.is_proven(Side.INVITING, proof):
            raise JoinRefusedError(
                "The device that answered is not the one that made this invite.", proven=False
            )
        name, fields = _fields(keys.unseal(Side.INVITING, _some_bytes(sealed), MAX_OPENING_BYTES))
        if name == "admitted" and len(fields) == 4:
            group, secret, device = (_bytes(field, 32) for field in fields[:3])
            self.admission = Admission(group, secret, device, _suite(fields[3]))
            self._state = _JoinerState.DONE
        elif name == "pending" and not fields:
            self._state = _JoinerState.WAITING
        elif name == "refused" and len(fields) == 1:
            refusal = next((one for one in Refusal if one.value == fields[0]), None)
            if refusal is None:
                raise RemoteError("The other device refuses for a reason this one does not know.")
            raise JoinRefusedError(refusal.sentence, proven=True, refusal=refusal.value)
        else:
            raise RemoteError("The other device sent something unexpected while joining.")


@dataclass(frozen=True, slots=True)
class Found:
    """What a locator stands for.

    Attributes:
        secret: an invite's secret, or the ticket of a request.
        is_ticket: it is the latter.
    """

    secret: InviteSecret
    is_ticket: bool = False


class Desk(Protocol):
    """Where an inviting device looks up its invites and decides."""

    def find(self, where: bytes, channel: Channel) -> Found | None:
        """Return what a locator stands for here; invites that are over included."""
        ...

    def is_open(self, found: Found) -> bool:
        """Tell whether a proof may still be checked against a secret."""
        ...

    def wrong_guess(self, found: Found) -> None:
        """Note that somebody tried a wrong secret; a short code is dead from now on."""
        ...

    def ask(self, found: Found, request: JoinRequest, derived: Derived) -> Verdict:
        """Decide on a request, or note it; what was noted is kept under its ticket."""
        ...

    def verdict(self, ticket: InviteSecret) -> Verdict:
        """Tell what has become of a request that was noted."""
        ...

    def take_offer(self, group: bytes, offer: Offer) -> None:
        """Give keys to a device that was admitted and offers a key package; raises as others do."""
        ...


@dataclass(frozen=True, slots=True)
class Derived:
    """What an exchange yields besides the request.

    Attributes:
        ticket: names the request from now on.
        comparison: the digits both sides show.
    """

    ticket: InviteSecret
    comparison: str


class _InviterState(Enum):
    WAITING = "waiting"
    ANSWERED = "answered"
    NOTED = "noted"
    ADMITTED = "admitted"
    DONE = "done"


class Inviter:
    """The inviting device's side of one exchange."""

    def __init__(self, channel: Channel, desk: Desk, random: Random) -> None:
        self._channel = channel
        self._desk = desk
        self._random = random
        self._state = _InviterState.WAITING
        self._found: Found | None = None
        self._exchange: Exchange | None = None
        self._peer_share = b""
        self._commitment = b""
        self._keys: JoinKeys | None = None
        self._ticket: InviteSecret | None = None
        self._device = b""
        self._group = b""

    @property
    def done(self) -> bool:
        """True once the peer has been told what became of its wish."""
        return self._state in (_InviterState.ADMITTED, _InviterState.DONE)

    @property
    def has_admitted(self) -> bool:
        """The peer may offer a key package, once: see `take_offer`."""
        return self._state is _InviterState.ADMITTED

    @property
    def waits(self) -> bool:
        """The peer was told to wait; see `look_again`."""
        return self._state is _InviterState.NOTED

    def receive(self, frame: bytes) -> bytes:
        """Take a frame; returns the answer.

        Raises:
            RemoteError: a frame has not its form or its place.
        """
        opening = self._state is _InviterState.WAITING
        name, fields = _frame(frame, MAX_OPENING_BYTES if opening else MAX_FRAME_BYTES)
        if opening and name == "join" and len(fields) == 3:
            return self._answer(_some_bytes(fields[0]), fields[1], fields[2])
        answered = self._state is _InviterState.ANSWERED
        if answered and name == "request" and len(fields) == 2:
            return self._judge(_bytes(fields[0], _PROOF_BYTES), _some_bytes(fields[1]))
        raise RemoteError("A joining device sent something unexpected.")

    def take_offer(self, frame: bytes) -> None:
        """Take the key package of a peer that was admitted.

        Raises:
            RemoteError: it has not its form or its place, or is not the peer's.
        """
        name, fields = _frame(frame, MAX_FRAME_BYTES)
        keys = self._keys
        if not self.has_admitted or keys is None or name != "offer" or len(fields) != 1:
            raise RemoteError("A joining device sent something unexpected.")
        self._state = _InviterState.DONE
        name, fields = _fields(keys.unseal(Side.JOINING, _some_bytes(fields[0]), MAX_FRAME_BYTES))
        if name != "offer" or len(fields) != 2:
            raise RemoteError("A message of the joining exchange has not its form.")
        offer = Offer(self._device, _some_bytes(fields[0]), _some_bytes(fields[1]))
        self._desk.take_offer(self._group, offer)

    def look_again(self) -> bytes | None:
        """Return the frame that tells a waiting peer what was decided, or None if nothing was."""
        if self._state is not _InviterState.NOTED:
            return None
        assert self._ticket is not None
        verdict = self._desk.verdict(self._ticket)
        return None if verdict == PENDING else self._reply(verdict)

    def _answer(self, where: bytes, share: Any, commitment: Any) -> bytes:
        if len(where) not in (LOCATOR_BYTES, NUMBER_BYTES):
            raise RemoteError("A message of the joining exchange has not its form.")
        self._peer_share = _bytes(share, SHARE_BYTES)
        self._commitment = _bytes(commitment, 32)
        self._found = self._desk.find(where, self._channel)
        if self._found is None:
            return self._refuse()
        self._exchange = Exchange(self._found.secret, Side.INVITING, self._channel, self._random)
        self._state = _InviterState.ANSWERED
        return encode(["answer", self._exchange.share])

    def _judge(self, proof: bytes, sealed: bytes) -> bytes:
        found, exchange = self._found, self._exchange
        assert found is not None
        assert exchange is not None
        # Somebody else's wrong guess may have ended a short code since this exchange began.
        if not self._desk.is_open(found):
            return self._refuse()
        try:
            keys = exchange.finish(self._peer_share, self._commitment)
        except MalformedError:
            keys = None
        if keys is None or not keys.is_proven(Side.JOINING, proof):
            self._desk.wrong_guess(found)
            return self._refuse()
        self._keys = keys
        request, comparison = _read_card(keys, sealed)
        self._ticket = found.secret if found.is_ticket else keys.ticket()
        self._device = request.device
        return self._reply(self._desk.ask(found, request, Derived(self._ticket, comparison)))

    def _reply(self, verdict: Verdict) -> bytes:
        keys = self._keys
        assert keys is not None
        self._state = _InviterState.NOTED if verdict == PENDING else _InviterState.DONE
        fields: list[Any] = ["pending"]
        if verdict.admission is not None:
            given = verdict.admission
            self._state, self._group = _InviterState.ADMITTED, given.group
            fields = ["admitted", given.group, given.discovery_secret, given.device, given.suite]
        elif verdict.refusal is not None:
            fields = ["refused", verdict.refusal.value]
        sealed = keys.seal(Side.INVITING, fields, self._random)
        return encode(["reply", keys.proof(Side.INVITING), sealed])

    def _refuse(self) -> bytes:
        self._state = _InviterState.DONE
        return encode(["refused"])


def _read_card(keys: JoinKeys, sealed: bytes) -> tuple[JoinRequest, str]:
    """Return what a card says, and the digits."""
    value = keys.unseal(Side.JOINING, sealed, MAX_FRAME_BYTES)
    parts = cast("list[Any]", value) if type(value) is list else []
    if len(parts) != 3:
        raise RemoteError("A message of the joining exchange has not its form.")
    card, blinding = _some_bytes(parts[0]), _bytes(parts[1], _BLINDING_BYTES)
    if not keys.commits_to(card, blinding):
        raise RemoteError("A joining device is another one than it had committed to.")
    content = decode(card, max_bytes=MAX_FRAME_BYTES)
    fields = cast("list[Any]", content) if type(content) is list else []
    if len(fields) != 4:
        raise RemoteError("A message of the joining exchange has not its form.")
    names = (foreign_name(fields[2]), foreign_name(fields[3]))
    request = JoinRequest(_bytes(fields[0], 32), _evidence(fields[1]), *names)
    if not is_signature(request.device, keys.signed(card), _bytes(parts[2], 64)):
        raise RemoteError("A joining device did not prove who it is.")
    return request, keys.comparison(card, blinding)


def _frame(frame: bytes, max_bytes: int) -> tuple[str, list[Any]]:
    return _fields(decode(frame, max_bytes=max_bytes))


def _fields(value: Any) -> tuple[str, list[Any]]:
    fields = cast("list[Any]", value) if type(value) is list else []
    if not fields or type(fields[0]) is not str:
        raise RemoteError("A message of the joining exchange has not its form.")
    return fields[0], fields[1:]


def _bytes(value: Any, length: int) -> bytes:
    if type(value) is not bytes or len(value) != length:
        raise RemoteError("A message of the joining exchange has not its form.")
    return value


def _some_bytes(value: Any) -> bytes:
    if type(value) is not bytes:
        raise RemoteError("A message of the joining exchange has not its form.")
    return value


def _suite(value: Any) -> int:
    if type(value) is not int or not 0 < value < 1 << 16:
        raise RemoteError("A message of the joining exchange has not its form.")
    return value


def _evidence(value: Any) -> tuple[bytes, ...]:
    items = cast("list[Any]", value) if type(value) is list else []
    if not 1 <= len(items) <= MAX_EVIDENCE or any(type(item) is not bytes for item in items):
        raise RemoteError("A message of the joining exchange has not its form.")
    return tuple(items)
