"""The frames of the sync protocol: typed values and their one encoding.

A frame is a deterministic CBOR array whose first element is its type. Every element is checked
for type and bounds here, so that the state machines only ever see well-formed values; whether a
frame is allowed now is theirs to decide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, cast

from lutra.codec import decode, encode
from lutra.errors import MalformedError
from lutra.operation import MAX_BODY_BYTES, MAX_HEADER_BYTES, LogKey
from lutra.sync import limits
from lutra.sync.errors import beyond_limit, malformed
from lutra.sync.events import CloseReason
from lutra.sync.heads import DIGEST_BYTES, KEY_BYTES
from lutra.sync.replica import ForkEvidence, WireOperation

TAG_BYTES = 16
HANDLE_BYTES = 8
ID_PREFIX_BYTES = 16
"""How much of a head's id a listed item carries."""
_ID_BYTES = 32
_MAX_U32 = 2**32 - 1
_MAX_U53 = 2**53 - 1


class Want(NamedTuple):
    """A log whose operations after ``after`` (all, if None) are asked for."""

    key: LogKey
    after: int | None


class Item(NamedTuple):
    """A log's head as listed to the peer."""

    key: bytes
    seq_num: int
    id_prefix: bytes


class Skip(NamedTuple):
    """Nothing more to say about the logs below ``upper``."""

    upper: bytes | None


class Compare(NamedTuple):
    """A range's fingerprint, for the peer to compare with its own."""

    upper: bytes | None
    logs: int
    digest: bytes


class Listed(NamedTuple):
    """All heads the sender has in a range."""

    upper: bytes | None
    items: Sequence[Item]


class Equal(NamedTuple):
    """The fingerprint just received for this range equals the sender's own."""

    upper: bytes | None


Range = Skip | Compare | Listed | Equal


@dataclass(frozen=True, slots=True)
class Hello:
    """First frame of both sides: versions, own window in bytes, tags of groups."""

    versions: Sequence[int]
    window: int
    tags: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Announce:
    """The tags again, after a change of groups or rosters; replaces the ones before."""

    tags: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Introduce:
    """The peer's tag of a group in which it is not known as a member; see `lutra.sync.sharing`."""

    tag: bytes


@dataclass(frozen=True, slots=True)
class Round:
    """Part of one side's turn in a reconciliation; ranges ascend over all frames of a turn."""

    handle: bytes
    control: bool
    last: bool
    ranges: Sequence[Range]
    wants: Sequence[Want]


@dataclass(frozen=True, slots=True)
class Done:
    """The sender has sent everything the reconciliation showed to be lacking."""

    handle: bytes
    control: bool


@dataclass(frozen=True, slots=True)
class Operations:
    """Operations of one group, of the live stream or of the bulk stream."""

    handle: bytes
    live: bool
    operations: Sequence[WireOperation]


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of one large operation's body in the bulk stream; the first brings the header."""

    handle: bytes
    header: bytes | None
    chunk: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """Logs to send again from given places, because something did not connect."""

    handle: bytes
    wants: Sequence[Want]


@dataclass(frozen=True, slots=True)
class Forks:
    """Proofs of equivocation."""

    handle: bytes
    evidence: Sequence[ForkEvidence]


@dataclass(frozen=True, slots=True)
class Branches:
    """Ids of operations that the sender holds of forked control logs, from the fork on."""

    handle: bytes
    ids: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Ask:
    """Ids of control operations that the sender lacks and asks for."""

    handle: bytes
    ids: Sequence[bytes]


class RefusedAt(NamedTuple):
    """An operation that was not stored: stream, number of its frame, place in the frame."""

    live: bool
    frame: int
    place: int


@dataclass(frozen=True, slots=True)
class Ack:
    """How many frames of each stream are durably worked off, and what was refused of them."""

    bulk: int
    live: int
    refused: Sequence[RefusedAt]


@dataclass(frozen=True, slots=True)
class Presence:
    """An ephemeral message about a document."""

    handle: bytes
    document: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The last frame: why the sender ends the session."""

    reason: CloseReason
    message: str


Frame = (
    Hello
    | Announce
    | Introduce
    | Round
    | Done
    | Operations
    | Part
    | Request
    | Forks
    | Branches
    | Ask
    | Ack
    | Presence
    | Goodbye
)

_HELLO, _ANNOUNCE, _ROUND, _DONE, _OPERATIONS, _PART = range(6)
_REQUEST, _FORKS, _ACK, _PRESENCE, _GOODBYE, _INTRODUCE, _BRANCHES, _ASK = range(6, 14)
_SKIP, _COMPARE, _LISTED, _EQUAL = range(4)


def encode_frame(frame: Frame) -> bytes:
    """Return a frame's bytes."""
    return encode(_fields(frame))


def _fields(frame: Frame) -> list[Any]:
    match frame:
        case Hello(versions, window, tags):
            return [_HELLO, list(versions), window, list(tags)]
        case Announce(tags):
            return [_ANNOUNCE, list(tags)]
        case Introduce(tag):
            return [_INTRODUCE, tag]
        case Round(handle, control, last, ranges, wants):
            flat = [_range_fields(item) for item in ranges]
            return [_ROUND, handle, control, last, flat, _flat_wants(wants)]
        case Done(handle, control):
            return [_DONE, handle, control]
        case Operations(handle, live, operations):
            return [_OPERATIONS, handle, live, [part for pair in operations for part in pair]]
        case Part(handle, header, chunk):
            return [_PART, handle, header, chunk]
        case Request(handle, wants):
            return [_REQUEST, handle, _flat_wants(wants)]
        case Forks(handle, evidence):
            return [_FORKS, handle, [part for pair in evidence for part in pair]]
        case Branches(handle, ids):
            return [_BRANCHES, handle, list(ids)]
        case Ask(handle, ids):
            return [_ASK, handle, list(ids)]
        case Ack(bulk, live, refused):
            return [_ACK, bulk, live, [part for triple in refused for part in triple]]
        case Presence(handle, document, data):
            return [_PRESENCE, handle, document, data]
        case Goodbye(reason, message):
            return [_GOODBYE, reason.value, message[: limits.MAX_MESSAGE_CHARS]]


def _range_fields(item: Range) -> list[Any]:
    match item:
        case Skip(upper):
            return [_SKIP, upper]
        case Compare(upper, logs, digest):
            return [_COMPARE, upper, logs, digest]
        case Listed(upper, items):
            return [_LISTED, upper, [part for entry in items for part in entry]]
        case Equal(upper):
            return [_EQUAL, upper]


def _flat_wants(wants: Sequence[Want]) -> list[Any]:
    flat: list[Any] = []
    for key, after in wants:
        flat += (key.author + key.log, after)
    return flat


def decode_frame(data: bytes) -> Frame:
    """Return the frame that ``data`` encodes.

    Raises:
        SyncViolationError: too large, malformed, or an element of wrong type or out of bounds.
    """
    if len(data) > limits.MAX_FRAME_BYTES:
        raise beyond_limit("A peer sent a frame that is too large.", size=len(data))
    try:
        value = decode(data, max_bytes=limits.MAX_FRAME_BYTES, max_depth=6)
    except MalformedError as error:
        raise malformed("A peer sent a frame that cannot be read.") from error
    if type(value) is not list or not value:
        raise malformed("A peer sent a frame that is not a list.")
    fields = cast("list[Any]", value)
    kind = fields[0]
    if type(kind) is not int or kind not in _READERS:
        raise malformed("A peer sent a frame of unknown type.")
    length, reader = _READERS[kind]
    if len(fields) != length:
        raise malformed("A peer sent a frame with a wrong number of elements.", type=kind)
    return reader(*fields[1:])


def _refuse(what: str) -> NoReturn:
    raise malformed(f"A peer sent a frame in which {what} is malformed.")


def _int(value: Any, top: int, what: str) -> int:
    if type(value) is not int or not 0 <= value <= top:
        _refuse(what)
    return value


def _bool(value: Any, what: str) -> bool:
    if type(value) is not bool:
        _refuse(what)
    return value


def _exactly(value: Any, size: int, what: str) -> bytes:
    if type(value) is not bytes or len(value) != size:
        _refuse(what)
    return value


def _up_to(value: Any, size: int, what: str) -> bytes:
    if type(value) is not bytes or len(value) > size:
        _refuse(what)
    return value


def _list(value: Any, size: int, step: int, what: str) -> list[Any]:
    """Check a flattened list of at most ``size`` entries of ``step`` elements each."""
    if type(value) is not list:
        _refuse(what)
    items = cast("list[Any]", value)
    if len(items) % step:
        _refuse(what)
    if len(items) > size * step:
        raise beyond_limit(f"A peer sent a frame in which {what} is too long.")
    return items


def _tags(value: Any) -> list[bytes]:
    tags = [_exactly(tag, TAG_BYTES, "a tag") for tag in _list(value, limits.MAX_TAGS, 1, "tags")]
    if len(tags) < 8 or len(tags) & (len(tags) - 1):
        _refuse("the number of tags")
    return tags


def _key(value: Any) -> LogKey:
    flat = _exactly(value, KEY_BYTES, "a log")
    return LogKey(flat[:32], flat[32:])


def _wants(value: Any) -> list[Want]:
    flat = _list(value, limits.MAX_FRAME_WANTS, 2, "wanted logs")
    return [
        Want(
            _key(flat[place]),
            None if flat[place + 1] is None else _int(flat[place + 1], _MAX_U32, "a place"),
        )
        for place in range(0, len(flat), 2)
    ]


def _handle(value: Any) -> bytes:
    return _exactly(value, HANDLE_BYTES, "the group")


def _hello(versions: Any, window: Any, tags: Any) -> Hello:
    numbers = [
        _int(version, 255, "a version")
        for version in _list(versions, limits.MAX_VERSIONS, 1, "versions")
    ]
    size = _int(window, limits.MAX_WINDOW_BYTES, "the window")
    if size < limits.MIN_WINDOW_BYTES:
        _refuse("the window")
    return Hello(numbers, size, _tags(tags))


def _announce(tags: Any) -> Announce:
    return Announce(_tags(tags))


def _introduce(tag: Any) -> Introduce:
    return Introduce(_exactly(tag, TAG_BYTES, "a tag"))


def _round(handle: Any, control: Any, last: Any, ranges: Any, wants: Any) -> Round:
    entries = _list(ranges, limits.MAX_FRAME_RANGES, 1, "ranges")
    return Round(
        _handle(handle),
        _bool(control, "the kind of logs"),
        _bool(last, "the end mark"),
        [_range(entry) for entry in entries],
        _wants(wants),
    )


def _range(value: Any) -> Range:
    if type(value) is not list:
        _refuse("a range")
    fields = cast("list[Any]", value)
    if len(fields) < 2 or type(fields[0]) is not int:
        _refuse("a range")
    upper = None if fields[1] is None else _up_to(fields[1], KEY_BYTES, "a bound")
    match fields:
        case [0, _]:
            return Skip(upper)
        case [1, _, logs, digest]:
            return Compare(
                upper, _int(logs, _MAX_U32, "a count"), _exactly(digest, DIGEST_BYTES, "a digest")
            )
        case [2, _, items]:
            return Listed(upper, _items(items))
        case [3, _]:
            return Equal(upper)
        case _:
            _refuse("a range")


def _items(value: Any) -> list[Item]:
    flat = _list(value, limits.MAX_LISTED, 3, "a listed range")
    return [
        Item(
            _exactly(flat[place], KEY_BYTES, "a log"),
            _int(flat[place + 1], _MAX_U32, "a place"),
            _exactly(flat[place + 2], ID_PREFIX_BYTES, "an id"),
        )
        for place in range(0, len(flat), 3)
    ]


def _done(handle: Any, control: Any) -> Done:
    return Done(_handle(handle), _bool(control, "the kind of logs"))


def _operations(handle: Any, live: Any, operations: Any) -> Operations:
    flat = _list(operations, limits.MAX_FRAME_OPERATIONS, 2, "the operations")
    if not flat:
        _refuse("the list of operations")
    pairs: list[WireOperation] = []
    for place in range(0, len(flat), 2):
        header, body = flat[place], flat[place + 1]
        if type(header) is not bytes or len(header) > MAX_HEADER_BYTES:
            _refuse("an operation's header")
        if body is not None and (type(body) is not bytes or len(body) > MAX_BODY_BYTES):
            _refuse("an operation's body")
        pairs.append(WireOperation(header, body))
    return Operations(_handle(handle), _bool(live, "the stream"), pairs)


def _part(handle: Any, header: Any, chunk: Any) -> Part:
    data = _up_to(chunk, limits.PART_BYTES, "a part")
    if not data:
        _refuse("a part")
    checked = None if header is None else _up_to(header, MAX_HEADER_BYTES, "a header")
    return Part(_handle(handle), checked, data)


def _request(handle: Any, wants: Any) -> Request:
    return Request(_handle(handle), _wants(wants))


def _forks(handle: Any, evidence: Any) -> Forks:
    flat = _list(evidence, limits.MAX_FRAME_FORKS, 2, "the proofs")
    headers = [_up_to(header, MAX_HEADER_BYTES, "a header") for header in flat]
    pairs = zip(headers[::2], headers[1::2], strict=True)
    return Forks(_handle(handle), [ForkEvidence(*pair) for pair in pairs])


def _ids(value: Any) -> list[bytes]:
    return [
        _exactly(item, _ID_BYTES, "an id") for item in _list(value, limits.MAX_FRAME_IDS, 1, "ids")
    ]


def _branches(handle: Any, ids: Any) -> Branches:
    return Branches(_handle(handle), _ids(ids))


def _ask(handle: Any, ids: Any) -> Ask:
    return Ask(_handle(handle), _ids(ids))


def _ack(bulk: Any, live: Any, refused: Any) -> Ack:
    flat = _list(refused, limits.MAX_REFUSED, 3, "the refusals")
    triples = [
        RefusedAt(
            _bool(flat[place], "the stream"),
            _int(flat[place + 1], _MAX_U53, "a frame's number"),
            _int(flat[place + 2], limits.MAX_FRAME_OPERATIONS, "a place"),
        )
        for place in range(0, len(flat), 3)
    ]
    return Ack(
        _int(bulk, _MAX_U53, "the bulk count"), _int(live, _MAX_U53, "the live count"), triples
    )


def _presence(handle: Any, document: Any, data: Any) -> Presence:
    return Presence(
        _handle(handle),
        _exactly(document, 32, "the document"),
        _up_to(data, limits.MAX_PRESENCE_BYTES, "the presence"),
    )


def _goodbye(reason: Any, message: Any) -> Goodbye:
    try:
        checked = CloseReason(_int(reason, 255, "the reason"))
    except ValueError:
        _refuse("the reason")
    if type(message) is not str or len(message) > limits.MAX_MESSAGE_CHARS:
        _refuse("the message")
    return Goodbye(checked, message)


_READERS: dict[int, tuple[int, Callable[..., Frame]]] = {
    _HELLO: (4, _hello),
    _ANNOUNCE: (2, _announce),
    _ROUND: (6, _round),
    _DONE: (3, _done),
    _OPERATIONS: (4, _operations),
    _PART: (4, _part),
    _REQUEST: (3, _request),
    _FORKS: (3, _forks),
    _ACK: (4, _ack),
    _PRESENCE: (4, _presence),
    _GOODBYE: (3, _goodbye),
    _INTRODUCE: (2, _introduce),
    _BRANCHES: (3, _branches),
    _ASK: (3, _ask),
}
