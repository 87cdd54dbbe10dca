"""The bodies of a group's control operations: strict, deterministic forms.

Three kinds of statement: *actions* say who may be in, with which role; *commits* and links carry
keys; *opinions* (ACK, OK, NACK) say which epoch a device stands on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, TypeVar, cast

from lutra.codec import decode, encode
from lutra.groups.errors import ControlError

CREATE = "group.create"
PERSON = "group.person"
OFFER = "group.offer"
ADD = "group.add"
REMOVE = "group.remove"
CUT = "group.cut"
ROLE = "group.role"
LEAVE = "group.leave"
SETTINGS = "group.settings"
CARD = "group.card"
COMMIT = "group.commit"
ACK = "group.ack"
OK = "group.ok"
NACK = "group.nack"
STALE = "group.stale"
KEYLINK = "group.keylink"

MAX_EVIDENCE = 256
MAX_OFFERS = 1_024
MAX_CUTS = 20_000
MAX_LINKS = 4_096
ID_BYTES = 32
_T = TypeVar("_T")


class Role(IntEnum):
    """What a person may do; each role contains the ones before."""

    KEEPER = 1
    """Carries ciphertext only, and is no MLS leaf."""
    READER = 2
    WRITER = 3
    ADMIN = 4


class Profile(IntEnum):
    """What newcomers may read of the time before them."""

    ARCHIVE = 1
    """Everything: each epoch links to the secrets before it."""
    JOIN_ON = 2
    """Nothing: no links."""
    SEALED = 3
    """Nothing, and nobody reads a message twice: its key is deleted on use."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A key package with the signature of the device's own log key, which says whose it is."""

    device: bytes
    key_package: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Create:
    """The first operation: its author's person is the first admin.

    Attributes:
        nonce: makes the group's id unique.
        profile: what newcomers may read.
        evidence: statements that say which person the author belongs to.
        group_info: MLS epoch 0, its tree included.
        kid: commitment to the first data secret.
    """

    nonce: bytes
    profile: Profile
    evidence: tuple[bytes, ...]
    group_info: bytes
    kid: bytes


@dataclass(frozen=True, slots=True)
class PersonEvidence:
    """Statements of a person's device chain; self-proving, so that any member may carry them."""

    evidence: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Offers:
    """Key packages under which devices can be added."""

    offers: tuple[Offer, ...]


@dataclass(frozen=True, slots=True)
class AddPerson:
    """Adds a person with all its devices."""

    person: bytes
    role: Role


@dataclass(frozen=True, slots=True)
class Cut:
    """The last operation of a removed person's device that is still accepted in one log."""

    device: bytes
    log: bytes
    seq_num: int


@dataclass(frozen=True, slots=True)
class RemovePerson:
    """Removes a person; logs that ``cuts`` does not name are cut before their first operation."""

    person: bytes
    cuts: tuple[Cut, ...] = ()


@dataclass(frozen=True, slots=True)
class ExtendCuts:
    """Extends the cuts of a removal that its author did not know when it accepted more.

    Attributes:
        removal: id of the operation that removed the person.
        cuts: what is accepted besides.
    """

    removal: bytes
    cuts: tuple[Cut, ...]


@dataclass(frozen=True, slots=True)
class SetRole:
    """Changes a member's role."""

    person: bytes
    role: Role


@dataclass(frozen=True, slots=True)
class Leave:
    """The author's person leaves."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """Card or settings, encrypted under the epoch that the header names."""

    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class Link:
    """The data secret of an epoch, encrypted under another one's."""

    epoch: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True)
class EpochCommit:
    """Begins an epoch.

    Attributes:
        parent: id of the epoch it follows.
        message: the MLS commit, a PublicMessage.
        welcome: lets the added devices in.
        group_info: the new epoch without tree, for external joiners.
        links: secrets of earlier epochs under the new one's (``archive`` only).
        kid: commitment to the new data secret.
    """

    parent: bytes
    message: bytes = field(repr=False)
    welcome: bytes | None = field(repr=False)
    group_info: bytes = field(repr=False)
    links: tuple[Link, ...]
    kid: bytes


@dataclass(frozen=True, slots=True)
class Opinion:
    """ACK, OK or NACK of an epoch, as the operation's kind says."""

    epoch: bytes


@dataclass(frozen=True, slots=True)
class Stale:
    """The author cannot enter the head and asks to be added anew under this key package."""

    offer: Offer


@dataclass(frozen=True, slots=True)
class KeyLink:
    """Repairs links: secrets under ``source``, which fulfils the send gate."""

    source: bytes
    links: tuple[Link, ...]


Content = (
    Create
    | PersonEvidence
    | Offers
    | AddPerson
    | RemovePerson
    | ExtendCuts
    | SetRole
    | Leave
    | Sealed
    | EpochCommit
    | Opinion
    | Stale
    | KeyLink
)


def encode_content(content: Content) -> bytes:
    """Return the body of a control operation."""
    match content:
        case Create(nonce, profile, evidence, group_info, kid):
            return encode([nonce, int(profile), list(evidence), group_info, kid])
        case PersonEvidence(evidence):
            return encode([list(evidence)])
        case Offers(offers):
            return encode([[_offer_fields(offer) for offer in offers]])
        case AddPerson(person, role) | SetRole(person, role):
            return encode([person, int(role)])
        case RemovePerson(target, cuts) | ExtendCuts(target, cuts):
            return encode([target, [[cut.device, cut.log, cut.seq_num] for cut in cuts]])
        case Leave():
            return encode([])
        case Sealed(ciphertext):
            return ciphertext
        case EpochCommit():
            return encode(
                [
                    content.parent,
                    content.message,
                    content.welcome,
                    content.group_info,
                    _link_fields(content.links),
                    content.kid,
                ]
            )
        case Opinion(epoch):
            return encode([epoch])
        case Stale(offer):
            return encode(_offer_fields(offer))
        case KeyLink(source, links):
            return encode([source, _link_fields(links)])


def decode_content(kind: str, body: bytes) -> Content:
    """Read the body of a control operation.

    Raises:
        ControlError: the kind is unknown or the body has not its form.
        MalformedError: the body is not deterministic CBOR.
    """
    if kind in (SETTINGS, CARD):
        return Sealed(body)
    reader = _READERS.get(kind)
    if reader is None:
        raise ControlError("A group message is of a kind this program does not know.")
    count, read = reader
    fields = _list(decode(body))
    if len(fields) != count:
        raise ControlError("A group message has the wrong number of parts.")
    return read(fields)


def _offer_fields(offer: Offer) -> list[bytes]:
    return [offer.device, offer.key_package, offer.signature]


def _link_fields(links: tuple[Link, ...]) -> list[list[bytes]]:
    return [[link.epoch, link.sealed] for link in links]


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise ControlError("A group message lacks a list where it must have one.")
    return cast("list[Any]", value)


def _bytes(value: Any) -> bytes:
    if type(value) is not bytes:
        raise ControlError("A group message lacks bytes where it must have some.")
    return value


def _id(value: Any) -> bytes:
    if len(checked := _bytes(value)) != ID_BYTES:
        raise ControlError("A group message has a key or id of the wrong size.")
    return checked


def _optional_bytes(value: Any) -> bytes | None:
    return None if value is None else _bytes(value)


def _number(value: Any) -> int:
    if type(value) is not int:
        raise ControlError("A group message lacks a number where it must have one.")
    return value


def _role(value: Any) -> Role:
    if _number(value) not in set(Role):
        raise ControlError("A group message names an unknown role.")
    return Role(value)


def _profile(value: Any) -> Profile:
    if _number(value) not in set(Profile):
        raise ControlError("A group message names an unknown history profile.")
    return Profile(value)


def _items(value: Any, limit: int, read: Callable[[Any], _T]) -> tuple[_T, ...]:
    items = _list(value)
    if len(items) > limit:
        raise ControlError("A group message has too long a list.")
    return tuple(read(item) for item in items)


def _fields(value: Any, count: int) -> list[Any]:
    fields = _list(value)
    if len(fields) != count:
        raise ControlError("A group message has the wrong number of parts.")
    return fields


def _offer(value: Any) -> Offer:
    device, key_package, signature = _fields(value, 3)
    return Offer(_id(device), _bytes(key_package), _bytes(signature))


def _cut(value: Any) -> Cut:
    device, log, seq_num = _fields(value, 3)
    return Cut(_id(device), _id(log), _number(seq_num))


def _link(value: Any) -> Link:
    epoch, sealed = _fields(value, 2)
    return Link(_id(epoch), _bytes(sealed))


def _read_links(value: Any) -> tuple[Link, ...]:
    links = _items(value, MAX_LINKS, _link)
    ids = [link.epoch for link in links]
    if ids != sorted(set(ids)):
        raise ControlError("A group message lists links twice or not in order.")
    return links


def _evidence(value: Any) -> tuple[bytes, ...]:
    return _items(value, MAX_EVIDENCE, _bytes)


def _opinion(fields: list[Any]) -> Opinion:
    return Opinion(_id(fields[0]))


def _read_commit(fields: list[Any]) -> EpochCommit:
    return EpochCommit(
        _id(fields[0]),
        _bytes(fields[1]),
        _optional_bytes(fields[2]),
        _bytes(fields[3]),
        _read_links(fields[4]),
        _id(fields[5]),
    )


def _read_create(fields: list[Any]) -> Create:
    return Create(
        _id(fields[0]),
        _profile(fields[1]),
        _evidence(fields[2]),
        _bytes(fields[3]),
        _id(fields[4]),
    )


_READERS: dict[str, tuple[int, Callable[[list[Any]], Content]]] = {
    CREATE: (5, _read_create),
    PERSON: (1, lambda fields: PersonEvidence(_evidence(fields[0]))),
    OFFER: (1, lambda fields: Offers(_items(fields[0], MAX_OFFERS, _offer))),
    ADD: (2, lambda fields: AddPerson(_id(fields[0]), _role(fields[1]))),
    REMOVE: (2, lambda fields: RemovePerson(_id(fields[0]), _items(fields[1], MAX_CUTS, _cut))),
    CUT: (2, lambda fields: ExtendCuts(_id(fields[0]), _items(fields[1], MAX_CUTS, _cut))),
    ROLE: (2, lambda fields: SetRole(_id(fields[0]), _role(fields[1]))),
    LEAVE: (0, lambda fields: Leave()),
    COMMIT: (6, _read_commit),
    ACK: (1, _opinion),
    OK: (1, _opinion),
    NACK: (1, _opinion),
    STALE: (3, lambda fields: Stale(_offer(fields))),
    KEYLINK: (2, lambda fields: KeyLink(_id(fields[0]), _read_links(fields[1]))),
}
