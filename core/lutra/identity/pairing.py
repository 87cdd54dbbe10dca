"""Pairing two devices: one machine for both sides and both roles (sans-IO).

::

    enters the code                              shows the code
    hello(share, commitment to its card)    ->
                                            <-   share
    proof                                   ->
                                            <-   answer(proof), sealed card
    sealed card                             ->
        (or instead of the card: sealed, that the code is spent; see `pairing_spent`)
        both screens show the comparison code; both persons accept
    new device: sealed consent  ->  existing device signs the addition
    existing device: sealed device log and hand-over  ->  new device: sealed receipt

What the existing device hands over besides the log is opaque here. It comes in the same message,
so that a new device that is done has all of it, whatever was lost on the way.

Every method returns a `Step`. `Pairing.store` has to be written to disk *before* a step's frames
are sent: then a crash at any moment is no worse than a lost connection. A machine is bound to one
channel at a time. Times are seconds of any clock that does not go backwards, also over restarts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from lutra.crypto.hashing import equal_constant_time
from lutra.crypto.random import Random, system_random
from lutra.crypto.signing import SigningKey
from lutra.errors import RemoteError
from lutra.identity.device_log import Consent, claim_of, sign_claim
from lutra.identity.errors import PairingStateError
from lutra.identity.key_agreement import commit
from lutra.identity.pairing_checks import check_admission, check_agreement, check_card
from lutra.identity.pairing_code import PairingSecret
from lutra.identity.pairing_keys import Channel, Exchange, SessionKeys
from lutra.identity.pairing_memory import Memory, Spent, decode_memory, encode_memory
from lutra.identity.pairing_messages import (
    Agreement,
    Card,
    Choice,
    Frame,
    PairingMessageError,
    Sealed,
    Why,
    decode_frame,
    encode_frame,
    operation_rows,
    read_operations,
    read_why,
    sized,
)
from lutra.identity.pairing_table import (
    CANCELLED_HERE,
    CANCELLED_LATE,
    CANCELLED_THERE,
    CANCELLED_THERE_LATE,
    KNOWN,
    REASONS,
    TERMINAL,
    TIMES,
    UNCONFIRMED,
    Event,
    Role,
    Side,
    State,
    step,
)
from lutra.operation import Operation

MAX_ATTEMPTS = 10
_SPENT = {Why.USED: Event.USED, Why.EXPIRED: Event.EXPIRED}


@dataclass(frozen=True, slots=True)
class Step:
    """What to do after storing the machine: send the frames, then close the channel if told to."""

    frames: tuple[bytes, ...] = ()
    close: bool = False


@dataclass(frozen=True, slots=True)
class Addition:
    """What the existing device has to sign: see `Person.add`; then call `Pairing.admitted`."""

    consent: Consent
    card: Card
    choice: Choice
    merged: tuple[Operation, ...]


class Pairing:
    """One side of a pairing.

    Attributes:
        strangers: how many connections proved not to be the other device; to be shown.
    """

    def __init__(self, memory: Memory, key: SigningKey, random: Random = system_random) -> None:
        """Take up a stored pairing (see `start` and `restore`)."""
        self._memory: Memory = memory
        self._key = key
        self._random = random
        self._channel: Channel | None = None
        self._proven = False
        self._resumes = False
        self._exchange: Exchange | None = None
        self._handed_over = b""
        self._spent: Spent | None = None

    @classmethod
    def start(
        cls,
        side: Side,
        secret: PairingSecret,
        *,
        card: Card,
        key: SigningKey,
        now: float,
        random: Random = system_random,
    ) -> Pairing:
        """Begin a pairing; ``card`` introduces the device that holds ``key``."""
        memory = Memory(
            side=side,
            secret=secret,
            card=card,
            blinding=random(32),
            state=State.READY,
            deadline=now + TIMES[State.READY],
        )
        return cls(memory, key, random)

    @classmethod
    def restore(
        cls, stored: bytes, key: SigningKey, now: float, random: Random = system_random
    ) -> Pairing:
        """Take up a pairing after a restart; its connection is lost.

        Raises:
            MalformedError: the bytes are not what `store` made.
        """
        pairing = cls(decode_memory(stored), key, random)
        if pairing.state not in TERMINAL and pairing.state is not State.READY:
            pairing._go(Event.DISCONNECT, now)
        return pairing

    def store(self) -> bytes:
        """Return everything to be kept, secrets included: for the encrypted store only."""
        return encode_memory(self._memory)

    @property
    def side(self) -> Side:
        """Whether this device shows or enters the code."""
        return self._memory.side

    @property
    def role(self) -> Role:
        """Whether this device is the new one."""
        return self._memory.card.role

    @property
    def state(self) -> State:
        """Where the pairing stands."""
        return self._memory.state

    @property
    def sentence(self) -> str:
        """What people should know about how it ended; empty if all went well."""
        return self._memory.sentence

    @property
    def peer(self) -> Card | None:
        """How the other device introduced itself."""
        return self._memory.peer

    @property
    def strangers(self) -> int:
        """How many connections did not prove to be the other device."""
        return self._memory.strangers

    @property
    def comparison(self) -> str | None:
        """The digits to compare, once both devices are introduced."""
        return self._memory.comparison or None

    @property
    def addition(self) -> Addition | None:
        """In state ADMITTING, what this device has to sign."""
        memory = self._memory
        if memory.state is not State.ADMITTING or memory.peer is None or memory.consent is None:
            return None
        agreed = memory.consent
        consent = Consent(agreed.device, memory.card.nonce, agreed.signature)
        return Addition(consent, memory.peer, agreed.choice, agreed.merged)

    @property
    def admission(self) -> tuple[Operation, ...]:
        """On the new device when done: the person's device log, verified."""
        return self._memory.admission if self.state is State.DONE else ()

    @property
    def handed_over(self) -> bytes:
        """On the new device when done, until a restart: what came with the log; secret."""
        return self._handed_over if self.state is State.DONE else b""

    @property
    def spent(self) -> Spent | None:
        """At an end, until a restart: what to tell whoever enters the code that was shown here.

        None if nothing is to be told: see `lutra.identity.pairing_spent`.
        """
        return self._spent

    @property
    def deadline(self) -> float | None:
        """When `tick` has to be called at the latest; None at an end."""
        return None if self.state in TERMINAL else self._memory.deadline

    # -- what happens ----------------------------------------------------------------------------

    def connect(self, channel: Channel, now: float) -> Step:
        """Use a new connection.

        Raises:
            PairingStateError: another connection is in use, or the pairing has ended. The new
                connection is to be closed; the pairing is not disturbed.
        """
        if self._channel is not None:
            raise PairingStateError("This pairing is busy with another connection.")
        memory = self._memory
        if memory.state is State.READY and memory.attempts >= MAX_ATTEMPTS:
            return self._go(Event.EXHAUSTED, now)
        self._go(Event.CONNECT, now)
        self._channel = channel
        self._proven = False
        if memory.side is Side.SHOWS:
            return Step()
        if memory.keys is not None and memory.state is not State.READY:
            self._resumes = True
            proof = memory.keys.resumption(Side.ENTERS, Side.ENTERS, channel)
            return Step((encode_frame(Frame.RESUME, proof),))
        self._exchange = Exchange(memory.secret, Side.ENTERS, channel, self._random)
        commitment = commit(memory.card.encode(), memory.blinding)
        return Step((encode_frame(Frame.HELLO, self._exchange.share, commitment),))

    def disconnect(self, now: float) -> Step:
        """Note that the connection was lost; another one may follow."""
        if self._channel is None or self.state in TERMINAL:
            self._drop()
            return Step()
        return self._go(Event.DISCONNECT, now)

    def receive(self, data: bytes, now: float) -> Step:
        """Take in a frame from the connection. A fault of the other side never raises."""
        channel = self._channel
        if channel is None or self.state in TERMINAL:
            return Step(close=True)
        try:
            kind, fields = decode_frame(data)
            if kind is Frame.BYE:
                return self._bye(now)
            if self._proven:
                return self._sealed(kind, fields, channel, now)
            return self._unproven(kind, fields, channel, now)
        except RemoteError:
            return self._refuse(now)

    def accept(
        self,
        now: float,
        choice: Choice = Choice.NONE,
        key: SigningKey | None = None,
        merged: Sequence[Operation] = (),
    ) -> Step:
        """The person says that the codes are the same, and on the new device what to do.

        Args:
            now: the time.
            choice: new device only: what becomes of an identity it has.
            key: the key to be added, for `Choice.KEEP_SEPARATE` only; it must be a fresh one.
            merged: for `Choice.MERGE`, the operations of the identity.

        Raises:
            PairingStateError: there is nothing to accept now, or the choice does not fit.
        """
        memory = self._memory
        if memory.state is not State.COMPARING or memory.peer is None:
            raise PairingStateError("There is nothing to confirm now.")
        if memory.card.role is Role.EXISTING:
            return self._go(Event.ACCEPT if memory.consent is None else Event.ACCEPT_READY, now)
        signer = self._signer(choice, key)
        if bool(merged) != (choice is Choice.MERGE):
            raise PairingStateError("A merge, and nothing else, brings an identity along.")
        assert memory.peer.person is not None
        signature = sign_claim(signer, claim_of(memory.peer.person, memory.peer.nonce))
        agreed = Agreement(choice, signer.public, signature, tuple(merged))
        self._memory = replace(memory, consent=agreed)
        self._go(Event.ACCEPT, now)
        return Step(self._seal(agreed.fields()))

    def admitted(self, operations: Sequence[Operation], now: float, hand_over: bytes = b"") -> Step:
        """The existing device has signed: hand over the person's whole device log.

        Args:
            operations: the device log.
            now: the time.
            hand_over: what the new device is to get with it; secret.
        """
        self._memory = replace(self._memory, admission=tuple(operations), hand_over=hand_over)
        self._go(Event.ADMIT, now)
        return Step(self._admission())

    def met(self, now: float) -> Step:
        """The new device was met as one of the person's: as good as its receipt, if that got lost.

        Raises:
            PairingStateError: no receipt is awaited.
        """
        return self._go(Event.RECEIPT, now)

    def cancel(self, now: float) -> Step:
        """The person ends it here."""
        if self.state in TERMINAL:
            return Step()
        farewell = (encode_frame(Frame.BYE),) if self._channel is not None else ()
        self._go(Event.CANCEL, now)
        return Step(farewell, close=True)

    def tick(self, now: float) -> Step:
        """Note the time."""
        if self.state in TERMINAL or now < self._memory.deadline:
            return Step()
        farewell = (encode_frame(Frame.BYE),) if self._channel is not None else ()
        self._go(Event.TIMEOUT, now)
        return Step(farewell, close=True)

    # -- frames ----------------------------------------------------------------------------------

    def _unproven(
        self, kind: Frame, fields: tuple[bytes, ...], channel: Channel, now: float
    ) -> Step:
        """Take a frame of a side that has not proved yet, on this channel, to know the secret."""
        shows = self._memory.side is Side.SHOWS
        match self.state, kind:
            case State.CONNECTED, Frame.HELLO if shows:
                exchange = Exchange(self._memory.secret, Side.SHOWS, channel, self._random)
                self._attempted(exchange.finish(*fields), now)
                return Step((encode_frame(Frame.SHARE, exchange.share),))
            case State.CONNECTED, Frame.SHARE if not shows and self._exchange is not None:
                commitment = commit(self._memory.card.encode(), self._memory.blinding)
                keys = self._exchange.finish(fields[0], commitment)
                self._exchange = None
                self._attempted(keys, now)
                return Step((encode_frame(Frame.PROOF, keys.proof(Side.ENTERS)),))
            case State.CONFIRMING, Frame.PROOF if shows:
                return self._prove(fields[0], now)
            case State.CONFIRMING, Frame.ANSWER if not shows and not self._resumes:
                return self._prove(fields[0], now)
            case _, Frame.RESUME if shows:
                return self._resume(fields[0], channel, now)
            case _, Frame.RESUMED if not shows:
                return self._resume(fields[0], channel, now)
            case _:
                raise PairingMessageError("A pairing message came out of its turn.")

    def _attempted(self, keys: SessionKeys, now: float) -> None:
        """An exchange took place: one guess was possible. Who only connects makes none."""
        memory = self._memory
        self._memory = replace(memory, keys=keys, attempts=memory.attempts + 1)
        self._go(Event.SHARE, now)

    def _prove(self, proof: bytes, now: float) -> Step:
        memory = self._memory
        assert memory.keys is not None
        if not memory.keys.is_proven(_other(memory.side), proof):
            return self._wrong(now)
        self._proven = True
        self._go(Event.PROOF, now)
        if memory.side is Side.ENTERS:
            return Step()
        answer = encode_frame(Frame.ANSWER, memory.keys.proof(Side.SHOWS))
        return Step((answer, *self._card()))

    def _resume(self, proof: bytes, channel: Channel, now: float) -> Step:
        memory = self._memory
        if memory.keys is None:
            raise PairingMessageError("There is nothing to take up again.")
        own, other = memory.side, _other(memory.side)
        if not equal_constant_time(proof, memory.keys.resumption(other, own, channel)):
            return self._wrong(now)
        self._proven = True
        self._go(Event.PROOF if memory.state is State.CONFIRMING else Event.RESUME, now)
        answer: tuple[bytes, ...] = ()
        if own is Side.SHOWS:
            answer = (encode_frame(Frame.RESUMED, memory.keys.resumption(own, own, channel)),)
        return Step((*answer, *self._again()))

    def _again(self) -> tuple[bytes, ...]:
        """Return all that was said on earlier channels and may not have arrived."""
        memory = self._memory
        frames: tuple[bytes, ...] = ()
        if memory.side is Side.SHOWS or memory.peer is not None:
            frames = self._card()
        if memory.card.role is Role.NEW and memory.consent is not None:
            frames += self._seal(memory.consent.fields())
        if memory.state is State.DELIVERING:
            frames += self._admission()
        return frames

    def _sealed(self, kind: Frame, fields: tuple[bytes, ...], channel: Channel, now: float) -> Step:
        memory = self._memory
        if kind is not Frame.SEALED or memory.keys is None:
            raise PairingMessageError("A pairing message came out of its turn.")
        content = memory.keys.unseal(_other(memory.side), memory.side, channel, fields[0])
        items = cast("list[Any]", content) if type(content) is list else []
        match items:
            case [Sealed.CARD.value, *rest] if len(rest) == 3:
                return self._introduce(rest, now)
            case [Sealed.CONSENT.value, *rest] if len(rest) == 4:
                return self._agree(Agreement.read(rest), now)
            case [Sealed.ADMISSION.value, rows, hand_over]:
                return self._admit(read_operations(rows), sized(hand_over, -1), now)
            case [Sealed.SPENT.value, why] if memory.side is Side.ENTERS and memory.peer is None:
                return self._go(_SPENT[read_why(why)], now)
            case [Sealed.RECEIPT.value] if memory.state is State.DELIVERING:
                return self._go(Event.RECEIPT, now)
            case _:
                raise PairingMessageError("A pairing message has not its form.")

    def _introduce(self, fields: list[Any], now: float) -> Step:
        memory = self._memory
        assert memory.keys is not None
        card, blinding = check_card(fields, _other(memory.side), memory.keys, memory.card)
        if memory.peer is not None:
            if (memory.peer, memory.peer_blinding) != (card, blinding):
                raise PairingMessageError("The other device introduced itself twice.")
            return Step()
        # Where the parts do not fit, the other side sees the same mistake from the card.
        own = self._card() if memory.side is Side.ENTERS else ()
        if card.role is memory.card.role:
            self._go(Event.SAME_ROLE, now)
            return Step(own, close=True)
        comparison = self._compare(card.encode(), blinding)
        self._memory = replace(memory, peer=card, peer_blinding=blinding, comparison=comparison)
        self._go(Event.CARD, now)
        return Step(own)

    def _agree(self, agreed: Agreement, now: float) -> Step:
        memory = self._memory
        if memory.consent is not None:
            if memory.consent != agreed:
                raise PairingMessageError("The other device changed what it agreed to.")
            return Step()
        check_agreement(agreed, memory.card, memory.peer)
        self._memory = replace(memory, consent=agreed)
        return self._go(Event.CONSENT, now)

    def _admit(self, operations: tuple[Operation, ...], hand_over: bytes, now: float) -> Step:
        memory = self._memory
        check_admission(operations, memory.card, memory.peer, memory.consent)
        self._memory = replace(memory, admission=operations)
        self._handed_over = hand_over
        receipt = self._seal([Sealed.RECEIPT.value])
        self._go(Event.ADMISSION, now)
        return Step(receipt)

    # -- helpers ---------------------------------------------------------------------------------

    def _signer(self, choice: Choice, key: SigningKey | None) -> SigningKey:
        card = self._memory.card
        if (choice is Choice.NONE) is not (card.person is None):
            raise PairingStateError("Choose whether to keep or to merge the identity that is here.")
        separate = choice is Choice.KEEP_SEPARATE
        if (key is not None and key.public != card.device) is not separate:
            raise PairingStateError("Only an identity that is kept needs another key.")
        return self._key if key is None else key

    def _card(self) -> tuple[bytes, ...]:
        memory = self._memory
        assert memory.keys is not None
        encoded = memory.card.encode()
        signature = self._key.sign(memory.keys.signed(memory.side, encoded))
        blinding = memory.blinding if memory.side is Side.ENTERS else b""
        return self._seal([Sealed.CARD.value, encoded, blinding, signature])

    def _compare(self, peer: bytes, peer_blinding: bytes) -> str:
        memory = self._memory
        assert memory.keys is not None
        own = memory.card.encode()
        if memory.side is Side.ENTERS:
            return memory.keys.comparison(own, memory.blinding, peer)
        return memory.keys.comparison(peer, peer_blinding, own)

    def _admission(self) -> tuple[bytes, ...]:
        rows = operation_rows(self._memory.admission)
        return self._seal([Sealed.ADMISSION.value, rows, self._memory.hand_over])

    def _seal(self, fields: list[Any]) -> tuple[bytes, ...]:
        """Return a sealed frame, or nothing while there is no proven channel: it is sent again."""
        memory, channel = self._memory, self._channel
        if channel is None or not self._proven or memory.keys is None:
            return ()
        sealed = memory.keys.seal(memory.side, memory.side, channel, fields, self._random)
        return (encode_frame(Frame.SEALED, sealed),)

    def _bye(self, now: float) -> Step:
        """Only a side that proved itself can end the pairing; others just go away."""
        if self._proven:
            return self._go(Event.PEER_CANCEL, now)
        if self.state is State.CONFIRMING and self._memory.side is Side.ENTERS:
            return self._wrong(now)
        return self.disconnect(now)

    def _wrong(self, now: float) -> Step:
        """A proof was wrong: it uses up a short code, unless only a resumption was tried."""
        memory = self._memory
        self._memory = replace(memory, strangers=memory.strangers + 1)
        if memory.state in KNOWN or self._resumes:
            event = Event.STRANGER
        else:
            event = Event.WRONG_CODE if memory.secret.is_short else Event.WRONG_LINK
        self._go(event, now)
        self._drop()
        return Step((encode_frame(Frame.BYE),), close=True)

    def _refuse(self, now: float) -> Step:
        """A rule was broken: by the other device it ends the pairing, by a stranger nothing."""
        if not self._proven and (self.state in KNOWN or self._resumes):
            return self._wrong(now)
        self._go(Event.VIOLATION, now)
        self._drop()
        return Step((encode_frame(Frame.BYE),), close=True)

    def _go(self, event: Event, now: float) -> Step:
        memory = self._memory
        after = step(memory.side, memory.card.role, memory.state, event)
        if after is not memory.state:
            deadline = now + TIMES.get(after, 0)
            sentence = _sentence(memory.state, event, after)
            self._memory = replace(memory, state=after, deadline=deadline, sentence=sentence)
        gone = event is Event.DISCONNECT or after in TERMINAL or after is State.READY
        if gone:
            self._drop()
        if after in TERMINAL:
            self._spent = _spent(memory, event)
            self._memory = self._memory.without_secrets()
        return Step(close=gone and event is not Event.DISCONNECT)

    def _drop(self) -> None:
        self._channel = None
        self._proven = False
        self._resumes = False
        self._exchange = None

    def __repr__(self) -> str:
        return f"Pairing(side={self._memory.side.name}, state={self.state.name})"


def _other(side: Side) -> Side:
    return Side.ENTERS if side is Side.SHOWS else Side.SHOWS


def _spent(memory: Memory, event: Event) -> Spent | None:
    """Say what became of a code that is at its end; nothing if it was guessed at or withdrawn."""
    if memory.side is Side.ENTERS:
        return None
    if memory.state in KNOWN:
        return Spent(memory.secret, Why.USED, memory.attempts)
    if event is Event.TIMEOUT:
        return Spent(memory.secret, Why.EXPIRED, memory.attempts)
    return None


def _sentence(before: State, event: Event, after: State) -> str:
    if after is State.FAILED:
        return REASONS[before, event]
    if after is State.CANCELLED:
        if event is Event.PEER_CANCEL:
            return CANCELLED_THERE_LATE if before is State.DELIVERING else CANCELLED_THERE
        return CANCELLED_LATE if before is State.DELIVERING else CANCELLED_HERE
    return UNCONFIRMED if event is Event.TIMEOUT else ""
