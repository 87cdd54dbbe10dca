"""Bringing a person back by a recovery kit: the exchange with a device that knows it (sans-IO).

The restoring device has the kit's key, a fresh key of its own, and nothing else. Whoever knows the
person finds the kit's public key in its device log; both derive the rendezvous from that. The
restoring device proves possession of the kit for this channel and both its ends before it is told
anything; a knowing device reveals nothing but a refusal to anybody else::

    restoring -> restore(token, proof)
    knowing   -> person(statements) | refused(reason)
    restoring -> add(statements)
    knowing   -> given(person's secret | nothing, n, device, proof), n × entry(group)
                 | refused(reason)

The statements added say, signed by the kit, that the new device is the person's, and possibly that
lost ones are not any more. They prove themselves, to everybody. Only a device of the person itself
gives secrets besides the groups' ids and discovery secrets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from lutra.codec import decode, encode
from lutra.crypto.hashing import blake3_derive, blake3_keyed, equal_constant_time
from lutra.crypto.signing import SigningKey, is_signature
from lutra.errors import LutraError, RemoteError
from lutra.groups.contents import MAX_EVIDENCE
from lutra.groups.directory import evidence_of, statement
from lutra.groups.errors import KitWithdrawnError, RestoreRefusedError
from lutra.identity.device_log import consent
from lutra.identity.person import Person
from lutra.identity.recovery import RecoveryKit
from lutra.operation import Operation

MAX_FRAME_BYTES = 4 * 1024 * 1024
MAX_ENTRIES = 10_000
_PROOF = b"lutra restore proof v1\0"
_GIVER = b"lutra restore giver v1\0"
_NOBODY = SigningKey(bytes(32)).public


def kit_rendezvous(recovery_key: bytes) -> bytes:
    """Return the secret behind the tags by which a kit finds devices that know its person."""
    return blake3_derive("lutra recovery rendezvous v1", recovery_key)


def _token(recovery_key: bytes, handshake_hash: bytes, device: bytes) -> bytes:
    key = blake3_derive("lutra restore token v1", recovery_key)
    return blake3_keyed(key, handshake_hash + device)


@dataclass(frozen=True, slots=True)
class RestoreChannel:
    """The encrypted connection that the exchange runs on.

    Attributes:
        handshake_hash: unique to the connection and the same on both ends.
        restoring: the restoring device's key, which it has proven.
        knowing: the key the knowing end has proven; made for this connection.
    """

    handshake_hash: bytes
    restoring: bytes
    knowing: bytes

    def signed(self, context: bytes) -> bytes:
        """Return what is signed to be worth something on this channel only."""
        return context + self.handshake_hash + self.restoring + self.knowing


class Restoration:
    """A person that comes back: what was learned of it, and its new device's addition.

    Used for all devices asked, one after the other; the device is added once.

    Args:
        kit: the recovery kit.
        key: the new device's key.
        time: milliseconds since 1970, for display.
        remove_lost: remove all devices the person had, in the same go.

    Attributes:
        person: the person, once somebody told of it.
    """

    def __init__(
        self, kit: RecoveryKit, key: SigningKey, *, time: int, remove_lost: bool = False
    ) -> None:
        self.kit = kit
        self.key = key
        self.person: Person | None = None
        self._time = time
        self._remove_lost = remove_lost

    def learn(self, evidence: Iterable[bytes]) -> None:
        """Take in statements about the kit's person, and add the new device to it.

        Raises:
            RestoreRefusedError: they do not show a person that this kit belongs to.
            KitWithdrawnError: the kit was withdrawn.
        """
        operations = [item for item in map(statement, evidence) if item is not None]
        person = self.person or Person(operations[0].log if operations else bytes(32))
        for operation in operations:
            if operation.log == person.id:
                _receive(person, operation)
        kit = person.state.device(self.kit.key.public)
        if kit is None or not kit.recovery:
            raise RestoreRefusedError("What was found does not belong to this recovery kit.")
        if not kit.active:
            raise KitWithdrawnError(
                "This recovery kit was withdrawn. Use a newer one, or one of your devices."
            )
        self.person = person
        self._add(person)

    def evidence(self) -> tuple[bytes, ...]:
        """Return all statements about the person, the new device's addition included."""
        assert self.person is not None
        return evidence_of(self.person.operations())

    def lost(self) -> tuple[bytes, ...]:
        """Return the person's other devices in use: those somebody may have found."""
        assert self.person is not None
        return tuple(sorted(self.person.state.active() - {self.key.public}))

    def _add(self, person: Person) -> None:
        if person.state.device(self.key.public) is None:
            # Its name follows, under the person's secret, once that is known.
            person.add(self.kit.key, consent(self.key, person.id), b"", self._time)
        if self._remove_lost:
            for device in sorted(person.state.active() - {self.key.public}):
                person.remove(self.kit.key, device, self._time)

    def __repr__(self) -> str:
        return f"Restoration(kit={self.kit.mark!r})"


def _receive(person: Person, operation: Operation) -> None:
    try:
        person.receive(operation)
    except RemoteError:
        # What breaks the form of a device log counts for nothing.
        return


@dataclass(frozen=True, slots=True)
class Given:
    """What a knowing device gave.

    Attributes:
        device: who.
        secret: the person's secret, if it is one of the person's own.
        entries: descriptions of groups, for `lutra.node.own_devices` to read.
    """

    device: bytes
    secret: bytes | None = field(repr=False)
    entries: tuple[bytes, ...] = field(repr=False)


class Restorer:
    """The restoring device's side of one exchange: feed frames to `receive` until `given`.

    Attributes:
        given: what the other side gave, at the end.
    """

    def __init__(self, restoration: Restoration, channel: RestoreChannel) -> None:
        self._restoration = restoration
        self._channel = channel
        self._giver = b""
        self._asked = False
        self._secret: bytes | None = None
        self._expected: int | None = None
        self._entries: list[bytes] = []
        self.given: Given | None = None

    def start(self) -> bytes:
        """Return the first frame."""
        kit, device = self._restoration.kit.key, self._restoration.key.public
        token = _token(kit.public, self._channel.handshake_hash, device)
        return encode(["restore", token, kit.sign(self._channel.signed(_PROOF))])

    def receive(self, frame: bytes) -> bytes | None:
        """Take a frame; returns the answer, or None when there is none.

        Raises:
            RestoreRefusedError: the other device does not know this kit, or lies.
            KitWithdrawnError: the kit was withdrawn.
            RemoteError: a frame has not its form.
        """
        name, fields = _frame(frame)
        if name == "refused" and len(fields) == 1:
            if fields[0] == "withdrawn":
                raise KitWithdrawnError(
                    "This recovery kit was withdrawn. Use a newer one, or one of your devices."
                )
            raise RestoreRefusedError("The other device does not know this recovery kit.")
        if not self._asked and name == "person" and len(fields) == 1:
            self._asked = True
            self._restoration.learn(_evidence(fields[0]))
            return encode(["add", list(self._restoration.evidence())])
        if self._asked and self._expected is None and name == "given" and len(fields) == 4:
            self._secret = None if fields[0] is None else _bytes(fields[0], 32)
            self._expected = _count(fields[1])
            self._giver = _bytes(fields[2], 32)
            if not is_signature(self._giver, self._channel.signed(_GIVER), _bytes(fields[3], 64)):
                raise RestoreRefusedError("The other device did not prove who it is.")
        elif self._expected is not None and name == "entry" and len(fields) == 1:
            self._entries.append(_bytes(fields[0]))
        else:
            raise RemoteError("The other device sent something unexpected while restoring.")
        if len(self._entries) == self._expected:
            self.given = Given(self._giver, self._secret, tuple(self._entries))
        return None


@dataclass(frozen=True, slots=True)
class KnownKit:
    """A recovery key of a person known here.

    Attributes:
        key: its public half.
        person: whose.
        active: it was not withdrawn.
    """

    key: bytes
    person: bytes
    active: bool


class Witness:
    """A knowing device's side of one exchange.

    Args:
        key: this device's key; it is shown once the kit is proven.
        channel: what the exchange runs on.
        kits: the recovery keys known here.
        evidence: returns the statements about a person.
        admit: takes in statements that make the peer a person's device, and returns what it gets;
            raises `LutraError`, with nothing changed, where they do not.
    """

    def __init__(
        self,
        key: SigningKey,
        channel: RestoreChannel,
        *,
        kits: Sequence[KnownKit],
        evidence: Callable[[bytes], Sequence[bytes]],
        admit: Callable[[bytes, bytes, Sequence[bytes]], Given],
    ) -> None:
        self._key = key
        self._channel = channel
        self._kits = kits
        self._evidence = evidence
        self._admit = admit
        self._person: bytes | None = None
        self.done = False

    def receive(self, frame: bytes) -> list[bytes]:
        """Take a frame; returns the answers.

        Raises:
            RemoteError: a frame has not its form or its place.
        """
        name, fields = _frame(frame)
        if self._person is None and name == "restore" and len(fields) == 2 and not self.done:
            kit = self._proven(_bytes(fields[0], 32), _bytes(fields[1], 64))
            if kit is None or not kit.active:
                self.done = True
                return [encode(["refused", "unknown" if kit is None else "withdrawn"])]
            self._person = kit.person
            return [encode(["person", list(self._evidence(kit.person))])]
        if self._person is not None and name == "add" and len(fields) == 1 and not self.done:
            self.done = True
            try:
                given = self._admit(self._person, self._channel.restoring, _evidence(fields[0]))
            except LutraError:
                return [encode(["refused", "addition"])]
            entries = [encode(["entry", entry]) for entry in given.entries]
            proof = self._key.sign(self._channel.signed(_GIVER))
            fields = [given.secret, len(entries), self._key.public, proof]
            return [encode(["given", *fields]), *entries]
        raise RemoteError("A restoring device sent something unexpected.")

    def _proven(self, token: bytes, proof: bytes) -> KnownKit | None:
        found: KnownKit | None = None
        for kit in self._kits:
            if equal_constant_time(
                token, _token(kit.key, self._channel.handshake_hash, self._channel.restoring)
            ):
                found = kit
        # A signature is checked in any case, so that timing tells nothing.
        key = _NOBODY if found is None else found.key
        return found if is_signature(key, self._channel.signed(_PROOF), proof) else None


def _frame(frame: bytes) -> tuple[str, list[Any]]:
    value = decode(frame, max_bytes=MAX_FRAME_BYTES)
    fields = cast("list[Any]", value) if type(value) is list else []
    if not fields or type(fields[0]) is not str:
        raise RemoteError("A message of the restoring exchange has not its form.")
    return fields[0], fields[1:]


def _bytes(value: Any, length: int | None = None) -> bytes:
    if type(value) is not bytes or (length is not None and len(value) != length):
        raise RemoteError("A message of the restoring exchange has not its form.")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_ENTRIES:
        raise RemoteError("A message of the restoring exchange has not its form.")
    return value


def _evidence(value: Any) -> tuple[bytes, ...]:
    items = cast("list[Any]", value) if type(value) is list else []
    if not 1 <= len(items) <= MAX_EVIDENCE or any(type(item) is not bytes for item in items):
        raise RemoteError("A message of the restoring exchange has not its form.")
    return tuple(items)
