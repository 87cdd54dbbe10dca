"""The secure channel between two devices, sans-IO.

On the wire, each side first sends a preface: ``LUTRA``, the lowest and the highest protocol version
it speaks. Everything after is Noise messages, each behind its length in two bytes, big-endian:

1. initiator → responder: ``e`` and a knock (see `lutra.net.knock`)
2. responder → initiator: ``e, ee, s, es`` and the answer to it
3. initiator → responder: ``s, se``, the initiator's device proof and its purpose (1 byte)
4. responder → initiator: the responder's device proof, first frame of the transport phase
5. both ways: frames (see `lutra.net.frames`)

Static keys are fresh for every channel, so nobody can follow a device by them: the device key alone
says who it is. The initiator shows it encrypted to the responder it dialled; the responder shows
its own only to a device that has proven itself and that `admit` lets in, so whoever merely knocks
learns nothing. An initiator that follows an announcement shows its key only to members of the
group announced. On an errand a responder may prove a key made for that one channel: who it is is
then for the errand itself to tell.

States and what leads from one to the next:

    initiator:  PREFACE ──preface──▶ REPLY ──message 2──▶ PROOF ──message 4──▶ OPEN
    responder:  PREFACE ──preface──▶ GREETING ──message 1──▶ REPLY ──message 3──▶ OPEN
    any state ──close, violation──▶ CLOSED
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from lutra.crypto.random import Random, system_random
from lutra.crypto.signing import SigningKey
from lutra.errors import DecryptionError, RemoteError
from lutra.net.errors import (
    ChannelClosedError,
    ChannelError,
    DeviceProofError,
    HandshakeError,
    NotAdmittedError,
    VersionError,
)
from lutra.net.frames import (
    HEADER_BYTES,
    CloseReason,
    FrameKind,
    FrameReader,
    Purpose,
    frame_header,
)
from lutra.net.knock import KNOCK_BYTES, Door, Knock
from lutra.net.noise import (
    LUTRA_PROTOCOL,
    MAX_PLAINTEXT_BYTES,
    CipherState,
    Handshake,
    StaticKey,
)
from lutra.net.proof import PROOF_BYTES, Binding

PROTOCOL_VERSION = 1
REKEY_MESSAGES = 1024
"""Each direction replaces its key after so many messages: old traffic stays closed if a running
device is seized."""

_MAGIC = b"LUTRA"
_PREFACE = _MAGIC + bytes((PROTOCOL_VERSION, PROTOCOL_VERSION))
_MAX_HANDSHAKE_MESSAGE = 512
_LENGTH_BYTES = 2


@dataclass(frozen=True, slots=True)
class Established:
    """Both devices are proven; frames may flow.

    Attributes:
        peer_device: the other device's Ed25519 key, or one it made for an errand.
        handshake_hash: unique to this channel, the same on both sides.
    """

    peer_device: bytes
    handshake_hash: bytes


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of the application's arrived."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Chosen:
    """The other side wants to use this channel, whatever others there are."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The other side ended the channel in good order."""

    reason: CloseReason


@dataclass(frozen=True, slots=True)
class Failed:
    """The channel is over: the other side broke a rule, or one side refuses the other."""

    error: RemoteError


Event = Established | Frame | Chosen | Closed | Failed


class _State(Enum):
    PREFACE = auto()
    GREETING = auto()
    REPLY = auto()
    PROOF = auto()
    OPEN = auto()
    CLOSED = auto()


_HANDSHAKE_STATES = frozenset({_State.GREETING, _State.REPLY})


def _admit_all(_device: bytes) -> bool:
    return True


class Channel:
    """One side of a channel: feed `receive_data`, send what `data_to_send` returns.

    Args:
        key: this device's key, or, for an errand, one made for the channel.
        initiator: whether this side dialled.
        expected_device: the only device an initiator talks to, if it knows which.
        knock: demanded of the responder before the initiator shows its key; None demands nothing.
        door: answers knocks at a responder.
        admit: whether a proven device may go on; asked once. A responder that refuses does not
            show its own key.
        errand_key: returns the key under which a responder runs an errand, or None where it runs
            none; `admit` is then not asked. By default errands are treated as other channels.
        purpose: what the initiator wants the channel for; a responder is told.
        random: source of the channel's static and ephemeral keys.
    """

    __slots__ = (
        "_admit",
        "_door",
        "_errand_key",
        "_expected",
        "_frames",
        "_handshake",
        "_inbox",
        "_initiator",
        "_key",
        "_knock",
        "_output",
        "_pending",
        "_pending_bytes",
        "_random",
        "_receiver",
        "_remote_preface",
        "_sender",
        "_state",
        "_static",
        "handshake_hash",
        "own_device",
        "peer_device",
        "purpose",
    )

    purpose: Purpose
    own_device: bytes
    peer_device: bytes | None
    handshake_hash: bytes | None

    def __init__(
        self,
        key: SigningKey,
        *,
        initiator: bool,
        expected_device: bytes | None = None,
        knock: Knock | None = None,
        door: Door | None = None,
        admit: Callable[[bytes], bool] = _admit_all,
        errand_key: Callable[[], SigningKey | None] | None = None,
        purpose: Purpose = Purpose.PEER,
        random: Random = system_random,
    ) -> None:
        self._key = key
        self._initiator = initiator
        self._expected = expected_device
        self._knock = knock
        self._door = door or Door(random)
        self._admit = admit
        self._errand_key = errand_key
        self.purpose = purpose
        self._static = StaticKey.generate(random)
        self._random = random
        self._state = _State.PREFACE
        self._remote_preface = b""
        self._inbox = bytearray()
        self._output: list[bytes] = [_PREFACE]
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._frames = FrameReader()
        self._sender: CipherState | None = None
        self._receiver: CipherState | None = None
        self.own_device = self._key.public
        self.peer_device = None
        self.handshake_hash = None
        self._handshake = self._begin_handshake(_PREFACE)
        if initiator:
            tag = knock.tag if knock is not None else random(KNOCK_BYTES)
            self._queue_message(self._handshake.write(tag))

    @property
    def is_open(self) -> bool:
        """Whether frames may be sent."""
        return self._state is _State.OPEN

    @property
    def is_closed(self) -> bool:
        """Whether the channel is over; what `data_to_send` still returns may be sent."""
        return self._state is _State.CLOSED

    @property
    def pending_bytes(self) -> int:
        """Bytes of frames that wait for the next `data_to_send`."""
        return self._pending_bytes

    def send(self, frame: bytes) -> None:
        """Queue a frame of the application's.

        Raises:
            ChannelClosedError: the channel is not open.
            FrameTooLargeError: the frame is larger than `MAX_FRAME_BYTES`.
        """
        self._queue_frame(FrameKind.DATA, frame)

    def keep_alive(self) -> None:
        """Queue a sign of life; without effect unless the channel is open."""
        if self.is_open:
            self._queue_frame(FrameKind.KEEPALIVE, b"")

    def choose(self) -> None:
        """Tell the other side that this is the channel to use; raises as `send` does."""
        self._queue_frame(FrameKind.CHOSEN, b"")

    def close(self, reason: CloseReason = CloseReason.NORMAL) -> None:
        """End the channel and tell the other side why, if it can be told."""
        if self.is_open:
            self._queue_frame(FrameKind.CLOSE, bytes((reason,)))
            self._seal_pending()
        self._state = _State.CLOSED

    def data_to_send(self) -> bytes:
        """Return the bytes to send now; queued frames are sealed into as few messages as fit."""
        if self._pending:
            self._seal_pending()
        if not self._output:
            return b""
        data = self._output[0] if len(self._output) == 1 else b"".join(self._output)
        self._output.clear()
        return data

    def receive_data(self, data: bytes) -> list[Event]:
        """Process bytes from the other side, in portions of any size.

        Never raises for the other side's faults: the last event is then `Failed`, and the channel
        is closed. Bytes for a closed channel are ignored.
        """
        events: list[Event] = []
        if self._state is _State.CLOSED:
            return events
        self._inbox += data
        try:
            self._work_off(events)
        except RemoteError as error:
            self.close(CloseReason.VIOLATION)
            self._inbox.clear()
            events.append(Failed(error))
        return events

    def _work_off(self, events: list[Event]) -> None:
        if self._state is _State.PREFACE and not self._read_preface():
            return
        inbox, position = self._inbox, 0
        with memoryview(inbox) as view:
            while len(inbox) - position >= _LENGTH_BYTES and self._state is not _State.CLOSED:
                length = (inbox[position] << 8) | inbox[position + 1]
                if self._state in _HANDSHAKE_STATES and length > _MAX_HANDSHAKE_MESSAGE:
                    raise HandshakeError("The other device's greeting is too long.", bytes=length)
                end = position + _LENGTH_BYTES + length
                if end > len(inbox):
                    break
                with view[position + _LENGTH_BYTES : end] as message:
                    self._read_message(message, events)
                position = end
        del inbox[:position]

    def _read_preface(self) -> bool:
        received = bytes(self._inbox[: len(_PREFACE)])
        if not received.startswith(_MAGIC[: len(received)]):
            raise HandshakeError("What answers there does not speak Lutra's protocol.")
        if len(received) < len(_PREFACE):
            return False
        lowest, highest = received[-2:]
        if not lowest <= PROTOCOL_VERSION <= highest:
            raise VersionError(
                "The other device runs a version of Lutra that this one cannot talk to; "
                "update the older of the two.",
                ours=PROTOCOL_VERSION,
                theirs=(lowest, highest),
            )
        del self._inbox[: len(_PREFACE)]
        self._remote_preface = received
        if self._initiator:
            self._state = _State.REPLY
        else:
            self._handshake = self._begin_handshake(received)
            self._state = _State.GREETING
        return True

    def _begin_handshake(self, initiators_preface: bytes) -> Handshake:
        # The prologue is what both know when the handshake begins; the responder's preface is
        # covered by the proofs.
        return Handshake(
            LUTRA_PROTOCOL,
            initiator=self._initiator,
            prologue=initiators_preface,
            static=self._static,
            random=self._random,
        )

    def _read_message(self, message: memoryview, events: list[Event]) -> None:
        if self._state is _State.GREETING:
            tag = self._handshake.read(bytes(message))
            if len(tag) != KNOCK_BYTES:
                raise HandshakeError("The other device's greeting has a wrong form.")
            keys = self._handshake.begin_write()
            answer = self._door.answer(tag, self._handshake.transcript)
            self._queue_message(keys + self._handshake.end_write(answer))
            self._state = _State.REPLY
        elif self._state is _State.REPLY and self._initiator:
            sealed = self._handshake.begin_read(bytes(message))
            transcript = self._handshake.transcript
            answer = self._handshake.end_read(sealed)
            if self._knock is not None and not self._knock.is_answered(answer, transcript):
                raise HandshakeError("What answers there does not belong to the group announced.")
            keys = self._handshake.begin_write()
            proof = self._binding().prove(self._key) + bytes((self.purpose,))
            self._queue_message(keys + self._handshake.end_write(proof))
            self._start_transport()
            self._state = _State.PROOF
        elif self._state is _State.REPLY:
            sealed = self._handshake.begin_read(bytes(message))
            binding = self._binding()
            payload = self._handshake.end_read(sealed)
            device = binding.check(payload[:PROOF_BYTES])
            self.purpose = _purpose(payload[PROOF_BYTES:])
            self._start_transport()
            self._answer_proof(device, events)
        else:
            self._read_transport(message, events)

    def _answer_proof(self, device: bytes, events: list[Event]) -> None:
        """Responder: refuse the proven device, or show who we are and open."""
        reason = None
        if self.purpose is Purpose.ERRAND and self._errand_key is not None:
            key = self._errand_key()
            if key is None:
                reason = CloseReason.NOT_ADMITTED
            else:
                self._key, self.own_device = key, key.public
        elif device == self._key.public:
            reason = CloseReason.SELF
        elif not self._admit(device):
            reason = CloseReason.NOT_ADMITTED
        if reason is not None:
            self._state = _State.OPEN
            self.close(reason)
            events.append(Failed(_refusal(reason)))
            return
        self._state = _State.OPEN
        self._queue_frame(FrameKind.PROOF, self._binding().prove(self._key, device))
        self._establish(device, events)

    def _read_transport(self, message: memoryview, events: list[Event]) -> None:
        receiver = self._receiver
        assert receiver is not None
        try:
            plaintext = receiver.decrypt(message)
        except DecryptionError:
            raise ChannelError("A message was changed, repeated or lost on the way.") from None
        if receiver.nonce % REKEY_MESSAGES == 0:
            receiver.rekey()
        for kind, payload in self._frames.feed(plaintext):
            if kind is FrameKind.CLOSE:
                self._state = _State.CLOSED
                events.append(_closing(payload))
                return
            if self._state is _State.PROOF:
                self._read_proof(kind, payload, events)
                if self.is_closed:
                    return
            elif kind is FrameKind.DATA:
                events.append(Frame(payload))
            elif kind is FrameKind.CHOSEN:
                events.append(Chosen())
            elif kind is FrameKind.PROOF:
                raise ChannelError("The other device proved itself twice.")

    def _read_proof(self, kind: FrameKind, payload: bytes, events: list[Event]) -> None:
        """Initiator: check the responder's proof and open."""
        if kind is not FrameKind.PROOF or len(payload) != PROOF_BYTES:
            raise DeviceProofError("The other device did not prove who it is.")
        device = self._binding().check(payload, self._key.public)
        if device == self._key.public:
            raise DeviceProofError("The other device claims to be this one.")
        if self._expected is not None and device != self._expected:
            raise DeviceProofError("Another device than the expected one answers there.")
        self._state = _State.OPEN
        if not self._admit(device):
            self.close(CloseReason.NOT_ADMITTED)
            events.append(Failed(_refusal(CloseReason.NOT_ADMITTED)))
            return
        self._establish(device, events)

    def _establish(self, device: bytes, events: list[Event]) -> None:
        self.peer_device = device
        self.handshake_hash = self._handshake.transcript
        events.append(Established(device, self.handshake_hash))

    def _binding(self) -> Binding:
        own, other = self._static.public, self._handshake.remote_static
        assert other is not None
        if self._initiator:
            versions, statics = _PREFACE + self._remote_preface, (own, other)
        else:
            versions, statics = self._remote_preface + _PREFACE, (other, own)
        return Binding(versions, self._handshake.transcript, *statics)

    def _start_transport(self) -> None:
        self._sender, self._receiver = self._handshake.split()

    def _queue_message(self, message: bytes) -> None:
        self._output.append(len(message).to_bytes(_LENGTH_BYTES, "big") + message)

    def _queue_frame(self, kind: FrameKind, payload: bytes) -> None:
        if self._state is not _State.OPEN:
            raise ChannelClosedError("The connection to the other device is not open.")
        self._pending.append(frame_header(kind, len(payload)))
        self._pending.append(payload)
        self._pending_bytes += HEADER_BYTES + len(payload)

    def _seal_pending(self) -> None:
        sender, output = self._sender, self._output
        if sender is None:
            return
        stream = b"".join(self._pending)
        self._pending.clear()
        self._pending_bytes = 0
        view = memoryview(stream)
        for start in range(0, len(stream), MAX_PLAINTEXT_BYTES):
            sealed = sender.encrypt(view[start : start + MAX_PLAINTEXT_BYTES])
            output.append(len(sealed).to_bytes(_LENGTH_BYTES, "big"))
            output.append(sealed)
            if sender.nonce % REKEY_MESSAGES == 0:
                sender.rekey()

    def __repr__(self) -> str:
        role = "initiator" if self._initiator else "responder"
        return f"Channel({role}, {self._state.name})"


def _refusal(reason: CloseReason) -> RemoteError:
    if reason is CloseReason.SELF:
        return NotAdmittedError("This device reached itself.", reason=reason.name)
    return NotAdmittedError("The other device is not let in.", reason=reason.name)


def _purpose(payload: bytes) -> Purpose:
    if len(payload) != 1 or payload[0] not in Purpose.__members__.values():
        raise HandshakeError("The other device wants something this one does not know.")
    return Purpose(payload[0])


def _closing(payload: bytes) -> Closed:
    if len(payload) != 1 or payload[0] not in CloseReason.__members__.values():
        raise ChannelError("The other device closed the connection in an unknown way.")
    return Closed(CloseReason(payload[0]))
