"""Signed operations: the only thing that is ever replicated.

The header is p2panda-core's, version 1, a CBOR array with optional elements left out::

    [1, public_key(32), signature(64), payload_size, payload_hash(32)?,
     seq_num, backlink(32)?, extensions]

``payload_hash`` is present if and only if ``payload_size`` > 0, ``backlink`` if and only if
``seq_num`` > 0. The Ed25519 signature covers the same array without the signature element. The
operation's id is the BLAKE3 hash of the header bytes. The body travels, and may be deleted,
separately.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, NamedTuple

import cbor2

from lutra.crypto.hashing import blake3_hash, equal_constant_time
from lutra.crypto.signing import SigningKey, is_signature
from lutra.errors import LocalError, MalformedError, RemoteError, SignatureError

VERSION = 1
MAX_HEADER_BYTES = 64 * 1024
MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_PREVIOUS = 512
MAX_KIND_LENGTH = 32
_MAX_U32 = 2**32 - 1
_MAX_U53 = 2**53 - 1
_ID_BYTES = 32
# Array head, version, byte-string head and key: what stands before the signature element.
_BEFORE_SIGNATURE = 1 + 1 + 2 + 32
_AFTER_SIGNATURE = _BEFORE_SIGNATURE + 2 + 64
_VERSION_1 = bytes((VERSION,))
_BYTES_32 = b"\x58\x20"
_ARRAY_OF_1 = b"\x81"
_ARRAY, _ARRAY_OF_6, _MAP_OF_3 = 0x80, 0x86, 0xA3
_SHORT_TEXT = 1 + 23  # a text of at most 23 bytes has a head of one


def _form() -> re.Pattern[bytes]:
    """Return the one deterministic form of a header.

    Numbers and lengths are as short as can be, the keys of the map stand in their order, nothing
    follows. What one element says about another is left to `_decode_header`: whether optional
    ones are there, and how many. No two ways through it match the same bytes, so that matching
    takes linear time.
    """
    number = (
        rb"([\x00-\x17]|\x18[\x18-\xff]|\x19(?!\x00).{2}|\x1a(?!\x00\x00).{4}"
        rb"|\x1b(?!\x00{4}).{8})"
    )
    array = rb"([\x81-\x97]|\x98[\x18-\xff]|\x99(?!\x00).{2})"
    item = rb"\x58\x20.{32}"
    id_ = rb"\x58\x20(.{32})"
    texts = [b"\\x%02x[\x00-\x7f]{%d}" % (0x60 + size, size) for size in range(1, 24)]
    texts += [
        b"\\x78\\x%02x[\x00-\x7f]{%d}" % (size, size) for size in range(24, MAX_KIND_LENGTH + 1)
    ]
    elements = (
        rb"([\x86-\x88])\x01%b\x58\x40(.{64})" % id_,
        rb"%b(?:%b)?%b(?:%b)?" % (number, id_, number, id_),
        rb"([\xa3-\xa7])clog%bdkind(%b)dtime%b" % (id_, b"|".join(texts), number),
        rb"(?:eepoch%b)?(?:egroup%b)?(eprune\xf5)?(?:hprevious%b((?:%b)+))?"
        % (id_, id_, array, item),
    )
    return re.compile(b"".join(elements), re.DOTALL)


_FORM = _form()


class InvalidOperationError(RemoteError):
    """An operation's header or body breaks a rule of its format."""

    code = "operation.invalid"


class OperationLimitError(LocalError):
    """An operation would be larger than other devices accept."""

    code = "operation.limit"


class LogKey(NamedTuple):
    """Names one append-only log: a device's key and the log's id."""

    author: bytes
    log: bytes


class Extensions(NamedTuple):
    """What Lutra adds to the header.

    Attributes:
        log: id of the log, 32 bytes (a document's or a group's id).
        kind: what the operation is, for example ``"document"`` or ``"group.add"``.
        group: id of the group it belongs to.
        epoch: id of the epoch whose key encrypts the body.
        previous: all control heads of the group the author knew, sorted.
        time: the author's clock in milliseconds, for display only.
        prune: this operation replaces all earlier ones in its log.
    """

    log: bytes
    kind: str
    group: bytes | None = None
    epoch: bytes | None = None
    previous: tuple[bytes, ...] = ()
    time: int = 0
    prune: bool = False

    def to_map(self) -> dict[str, Any]:
        """Return the map in canonical key order; absent and default values are left out."""
        # Order: shorter keys first, then bytewise (RFC 8949 §4.2.1 for text keys).
        fields: dict[str, Any] = {"log": self.log, "kind": self.kind, "time": self.time}
        if self.epoch is not None:
            fields["epoch"] = self.epoch
        if self.group is not None:
            fields["group"] = self.group
        if self.prune:
            fields["prune"] = True
        if self.previous:
            fields["previous"] = list(self.previous)
        return fields


class Header(NamedTuple):
    """A decoded operation header; see the module's description."""

    public_key: bytes
    signature: bytes
    payload_size: int
    payload_hash: bytes | None
    seq_num: int
    backlink: bytes | None
    extensions: Extensions

    def encode(self) -> bytes:
        """Return the header's bytes, signature included."""
        elements = self._elements()
        elements.insert(2, self.signature)
        return cbor2.dumps(elements)

    def signed_bytes(self) -> bytes:
        """Return what the signature covers."""
        return cbor2.dumps(self._elements())

    def _elements(self) -> list[Any]:
        fields: list[Any] = [VERSION, self.public_key, self.payload_size]
        if self.payload_hash is not None:
            fields.append(self.payload_hash)
        fields.append(self.seq_num)
        if self.backlink is not None:
            fields.append(self.backlink)
        fields.append(self.extensions.to_map())
        return fields


class Operation(NamedTuple):
    """A header, its bytes, its id and log, and the body unless that was deleted or never came."""

    id: bytes
    log_key: LogKey
    header: Header
    header_bytes: bytes
    body: bytes | None

    @property
    def author(self) -> bytes:
        """The public key of the device that signed it."""
        return self.header.public_key

    @property
    def log(self) -> bytes:
        """The id of the log it belongs to."""
        return self.header.extensions.log

    @property
    def seq_num(self) -> int:
        """Its place in its log, from 0."""
        return self.header.seq_num

    @property
    def kind(self) -> str:
        """What it is."""
        return self.header.extensions.kind


def sign_operation(
    key: SigningKey,
    *,
    seq_num: int,
    backlink: bytes | None,
    body: bytes | None,
    extensions: Extensions,
) -> Operation:
    """Make and sign the operation at ``seq_num`` of a log.

    Raises:
        OperationLimitError: header or body are larger than other devices accept.
    """
    size = len(body) if body else 0
    if size > MAX_BODY_BYTES:
        raise OperationLimitError(
            f"A change of {size} bytes is too large to send in one piece.",
            size=size,
            limit=MAX_BODY_BYTES,
        )
    unsigned = Header(
        public_key=key.public,
        signature=b"",
        payload_size=size,
        payload_hash=blake3_hash(body) if body else None,
        seq_num=seq_num,
        backlink=backlink,
        extensions=extensions,
    )
    _check_header(unsigned, OperationLimitError)
    header = unsigned._replace(signature=key.sign(unsigned.signed_bytes()))
    encoded = header.encode()
    log_key = LogKey(key.public, extensions.log)
    return Operation(blake3_hash(encoded), log_key, header, encoded, body or None)


def decode_operation(
    header_bytes: bytes, body: bytes | None, *, check_signature: bool = True
) -> Operation:
    """Decode and check one received operation.

    Args:
        header_bytes: the header exactly as received.
        body: the payload, or None where it is absent or was deleted.
        check_signature: False for bytes from this device's own store, and where the caller checks
            `signature_claim` itself.

    Raises:
        MalformedError: the bytes are not a deterministic header.
        InvalidOperationError: a rule of the header or of its body is broken.
        SignatureError: the signature does not fit.
    """
    header = _decode_header(header_bytes)
    if body is not None:
        _check_body(header, body)
    log_key = LogKey(header.public_key, header.extensions.log)
    operation = Operation(blake3_hash(header_bytes), log_key, header, header_bytes, body)
    if check_signature and not is_signature(*signature_claim(operation)):
        raise SignatureError("An operation's signature does not fit, so it was refused.")
    return operation


def signature_claim(operation: Operation) -> tuple[bytes, bytes, bytes]:
    """Return public key, signed bytes and signature of a decoded operation.

    The signed bytes are cut out of the header's: the signature element has a fixed place.
    """
    header = operation.header
    return header.public_key, _signed_bytes(operation.header_bytes), header.signature


def header_claim(header: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Return the same for the bytes of a header that may be none; it says nothing if it is none.

    Returns:
        None for what is too short to be a header.
    """
    if len(header) < _AFTER_SIGNATURE:
        return None
    public_key = header[_BEFORE_SIGNATURE - 32 : _BEFORE_SIGNATURE]
    return public_key, _signed_bytes(header), header[_AFTER_SIGNATURE - 64 : _AFTER_SIGNATURE]


def _signed_bytes(header: bytes) -> bytes:
    head = bytes(((header[0] - 1) & 0xFF,))
    return b"".join((head, header[1:_BEFORE_SIGNATURE], header[_AFTER_SIGNATURE:]))


def _decode_header(data: bytes) -> Header:
    if len(data) > MAX_HEADER_BYTES:
        raise MalformedError(
            f"An operation's header of {len(data)} bytes is too large.", size=len(data)
        )
    if data[1:2] != _VERSION_1:
        raise InvalidOperationError("An operation has a version this program does not know.")
    match = _FORM.fullmatch(data)
    if match is None:
        raise InvalidOperationError("An operation's header is not in the one form it may have.")
    (
        array,
        public_key,
        signature,
        size_bytes,
        payload_hash,
        seq_bytes,
        backlink,
        map_head,
        log,
        kind,
        time_bytes,
        epoch,
        group,
        prune,
        count,
        heads,
    ) = match.groups()
    # A number below 24 is its own head, a larger one follows its head.
    payload_size = int.from_bytes(size_bytes[1:] or size_bytes, "big")
    seq_num = int.from_bytes(seq_bytes[1:] or seq_bytes, "big")
    time = int.from_bytes(time_bytes[1:] or time_bytes, "big")
    if (payload_hash is None) != (payload_size == 0):
        raise InvalidOperationError(
            "An operation has a payload hash if and only if it has a payload."
        )
    optional = (epoch is not None) + (group is not None) + (prune is not None) + (heads is not None)
    if (
        array[0] != _ARRAY_OF_6 + (payload_hash is not None) + (backlink is not None)
        or map_head[0] != _MAP_OF_3 + optional
    ):
        raise InvalidOperationError("An operation's header has the wrong number of elements.")
    previous = _ids(count, heads) if heads is not None else ()
    name = kind[1 if len(kind) <= _SHORT_TEXT else 2 :].decode()
    extensions = Extensions(log, name, group, epoch, previous, time, prune is not None)
    header = Header(
        public_key, signature, payload_size, payload_hash, seq_num, backlink, extensions
    )
    _check_header(header, InvalidOperationError)
    return header


def _ids(array: bytes, items: bytes) -> tuple[bytes, ...]:
    """Return the ids of a list that `_FORM` has matched, given its head and its items."""
    size = len(_BYTES_32) + _ID_BYTES
    if len(items) == size and array == _ARRAY_OF_1:
        return (items[-_ID_BYTES:],)
    ids = tuple([items[at - _ID_BYTES : at] for at in range(size, len(items) + 1, size)])
    count = array[0] - _ARRAY if len(array) == 1 else int.from_bytes(array[1:], "big")
    if count != len(ids):
        raise InvalidOperationError("An operation's list of heads has the wrong length.")
    return ids


def _check_header(header: Header, error: type[InvalidOperationError | OperationLimitError]) -> None:
    """Check the ranges that sender and receiver must agree on."""
    extensions = header.extensions
    if not 0 <= header.payload_size <= MAX_BODY_BYTES:
        raise error("An operation's payload size is out of bounds.")
    if not 0 <= header.seq_num <= _MAX_U32:
        raise error("An operation's place in its log is out of bounds.")
    if (header.backlink is None) != (header.seq_num == 0):
        raise error("An operation has a backlink if and only if it is not the first of its log.")
    if not 0 <= extensions.time <= _MAX_U53:
        raise error("An operation's time is out of bounds.")
    if not 1 <= len(extensions.kind) <= MAX_KIND_LENGTH or not extensions.kind.isascii():
        raise error("An operation's kind is not a short name.")
    previous = extensions.previous
    if len(previous) > 1 and (
        len(previous) > MAX_PREVIOUS or any(left >= right for left, right in pairwise(previous))
    ):
        raise error("An operation's list of heads is too long, unsorted or has duplicates.")


def _check_body(header: Header, body: bytes) -> None:
    if header.payload_hash is None or len(body) != header.payload_size:
        raise InvalidOperationError("An operation's body has another size than its header says.")
    if not equal_constant_time(blake3_hash(body), header.payload_hash):
        raise InvalidOperationError("An operation's body does not have the hash its header names.")
