"""What stands in a bundle's sections: operations, proofs of forks, hand-overs, gifts to a kit.

A group's section holds its operations, control before what builds on it; the personal group's also
a *hand-over*: what one own device tells another, under a key that only devices which are still the
person's hold. A kit's section is sealed to the kit: the person's device log and where its groups
are, from an own device also the keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from lutra.codec import decode, encode
from lutra.crypto.aead import KEY_BYTES, seal, unseal
from lutra.crypto.hashing import blake3_derive
from lutra.crypto.random import Random
from lutra.errors import MalformedError
from lutra.groups.contents import MAX_EVIDENCE
from lutra.identity.recovery import RecoveryKit, seal_to_kit
from lutra.net.bundles import MAX_RECORD_BYTES
from lutra.node.own_devices import Entry, decode_entries, encode_entries
from lutra.sync.replica import ForkEvidence, WireOperation

_KIT_INFO = b"lutra bundle kit v1\0"


@dataclass(frozen=True, slots=True)
class Operations:
    """Operations of the section's group, each log in order."""

    operations: tuple[WireOperation, ...]

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode(["operations", [[item.header, item.body] for item in self.operations]])


@dataclass(frozen=True, slots=True)
class Forks:
    """Proofs that devices signed two histories."""

    proofs: tuple[ForkEvidence, ...]

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode(["forks", [list(item) for item in self.proofs]])


@dataclass(frozen=True, slots=True)
class HandOver:
    """One group for the person's other devices, under a secret of the personal group.

    Attributes:
        epoch: the personal group's epoch whose data secret opens it.
        sealed: an entry of `lutra.node.own_devices`, encrypted.
    """

    epoch: bytes
    sealed: bytes = field(repr=False)

    @classmethod
    def of(cls, entry: Entry, epoch: bytes, secret: bytes, random: Random) -> HandOver:
        """Encrypt an entry under an epoch's data secret."""
        content = encode_entries([entry])
        return cls(epoch, seal(_hand_over_key(secret), content, epoch, random))

    def open(self, secret: bytes) -> bytes:
        """Return what `OwnDevices.accept_hand_over` takes.

        Raises:
            DecryptionError: it does not open with this secret.
        """
        return unseal(_hand_over_key(secret), self.sealed, self.epoch)

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode(["hand-over", self.epoch, self.sealed])


Record = Operations | Forks | HandOver


def decode_record(data: bytes) -> Record:
    """Read a record of a group's section.

    Raises:
        MalformedError: it has not its form.
    """
    fields = _list(decode(data, max_bytes=MAX_RECORD_BYTES))
    match fields:
        case ["operations", items]:
            return Operations(tuple(_operation(item) for item in _list(items)))
        case ["forks", items]:
            return Forks(tuple(_fork(item) for item in _list(items)))
        case ["hand-over", epoch, sealed]:
            return HandOver(_bytes(epoch), _bytes(sealed))
        case _:
            raise MalformedError("A part of a bundle is of a kind this program does not know.")


@dataclass(frozen=True, slots=True)
class KitGift:
    """What a bundle holds for a recovery kit.

    Attributes:
        person: the id of the kit's person.
        evidence: the statements about its devices.
        secret: the person's secret, if one of its own devices made the bundle.
        entries: the person's groups; with keys, if one of its own devices made the bundle.
    """

    person: bytes
    evidence: tuple[bytes, ...]
    secret: bytes | None = field(repr=False)
    entries: tuple[Entry, ...] = field(repr=False)


def seal_gift(gift: KitGift, sealing_key: bytes, salt: bytes, random: Random) -> list[bytes]:
    """Return the records of a kit's section, the same file's ``salt`` given.

    Raises:
        MalformedError: the kit's sealing key is none.
    """
    key = random(KEY_BYTES)
    enc, sealed_key = seal_to_kit(sealing_key, _KIT_INFO + salt, key, random)
    person = encode([gift.person, list(gift.evidence), gift.secret])
    contents = [person, *(encode_entries([entry]) for entry in gift.entries)]
    return [
        encode([enc, sealed_key]),
        *(
            seal(key, content, number.to_bytes(4, "big"), random)
            for number, content in enumerate(contents)
        ),
    ]


def open_gift(kit: RecoveryKit, records: Iterator[bytes], salt: bytes) -> KitGift:
    """Read a kit's section.

    Raises:
        DecryptionError, MalformedError: it was not made for this kit, or has not its form.
    """
    first = _list(decode(next(records, b"")))
    if len(first) != 2:
        raise MalformedError("The part of a bundle for a recovery kit has not its form.")
    key = kit.unseal(_bytes(first[0]), _KIT_INFO + salt, _bytes(first[1]))
    contents = [
        unseal(key, record, number.to_bytes(4, "big")) for number, record in enumerate(records)
    ]
    if not contents:
        raise MalformedError("The part of a bundle for a recovery kit has not its form.")
    person = _list(decode(contents[0], max_bytes=MAX_RECORD_BYTES))
    if len(person) != 3:
        raise MalformedError("The part of a bundle for a recovery kit has not its form.")
    evidence = tuple(_bytes(item) for item in _list(person[1]))
    if len(evidence) > MAX_EVIDENCE:
        raise MalformedError("The part of a bundle for a recovery kit has not its form.")
    return KitGift(
        _bytes(person[0]),
        evidence,
        None if person[2] is None else _bytes(person[2]),
        tuple(entry for content in contents[1:] for entry in decode_entries(content)),
    )


def in_slices(operations: Iterable[WireOperation], max_bytes: int) -> Iterator[bytes]:
    """Yield operations as records of about ``max_bytes``."""
    slice_: list[WireOperation] = []
    size = 0
    for item in operations:
        length = len(item.header) + len(item.body or b"")
        if slice_ and size + length > max_bytes:
            yield Operations(tuple(slice_)).encode()
            slice_, size = [], 0
        slice_.append(item)
        size += length
    if slice_:
        yield Operations(tuple(slice_)).encode()


def _hand_over_key(secret: bytes) -> bytes:
    return blake3_derive("lutra bundle hand-over v1", secret)


def _operation(value: Any) -> WireOperation:
    fields = _list(value)
    if len(fields) != 2:
        raise MalformedError("An operation in a bundle has not its form.")
    return WireOperation(_bytes(fields[0]), None if fields[1] is None else _bytes(fields[1]))


def _fork(value: Any) -> ForkEvidence:
    fields = _list(value)
    if len(fields) != 2:
        raise MalformedError("A proof in a bundle has not its form.")
    return ForkEvidence(_bytes(fields[0]), _bytes(fields[1]))


def _list(value: Any) -> Sequence[Any]:
    if type(value) is not list:
        raise MalformedError("A part of a bundle has not its form.")
    return cast("list[Any]", value)


def _bytes(value: Any) -> bytes:
    if type(value) is not bytes:
        raise MalformedError("A part of a bundle has not its form.")
    return value
