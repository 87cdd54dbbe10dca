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

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, cast

import cbor2

from lutra.codec import loads_bounded
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


@dataclass(frozen=True, slots=True)
class Extensions:
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


@dataclass(frozen=True, slots=True)
class Header:
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
        fields = self._fields()
        fields.insert(2, self.signature)
        return cbor2.dumps(fields)

    def signed_bytes(self) -> bytes:
        """Return what the signature covers."""
        return cbor2.dumps(self._fields())

    def _fields(self) -> list[Any]:
        fields: list[Any] = [VERSION, self.public_key, self.payload_size]
        if self.payload_hash is not None:
            fields.append(self.payload_hash)
        fields.append(self.seq_num)
        if self.backlink is not None:
            fields.append(self.backlink)
        fields.append(self.extensions.to_map())
        return fields


@dataclass(frozen=True, slots=True)
class Operation:
    """A header, its bytes, its id, and the body unless that was deleted or never came."""

    id: bytes
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
    def log_key(self) -> LogKey:
        """The log it belongs to."""
        return LogKey(self.header.public_key, self.header.extensions.log)

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
    signature = key.sign(unsigned.signed_bytes())
    header = Header(
        public_key=key.public,
        signature=signature,
        payload_size=size,
        payload_hash=unsigned.payload_hash,
        seq_num=seq_num,
        backlink=backlink,
        extensions=extensions,
    )
    encoded = header.encode()
    return Operation(blake3_hash(encoded), header, encoded, body or None)


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
    operation = Operation(blake3_hash(header_bytes), header, header_bytes, body)
    if check_signature and not is_signature(*signature_claim(operation)):
        raise SignatureError("An operation's signature does not fit, so it was refused.")
    return operation


def signature_claim(operation: Operation) -> tuple[bytes, bytes, bytes]:
    """Return public key, signed bytes and signature of a decoded operation.

    The signed bytes are cut out of the header's: the signature element has a fixed place.
    """
    encoded = operation.header_bytes
    signed = b"".join(
        (bytes((encoded[0] - 1,)), encoded[1:_BEFORE_SIGNATURE], encoded[_AFTER_SIGNATURE:])
    )
    return operation.header.public_key, signed, operation.header.signature


def _decode_header(data: bytes) -> Header:
    if len(data) > MAX_HEADER_BYTES:
        raise MalformedError(
            f"An operation's header of {len(data)} bytes is too large.", size=len(data)
        )
    fields = loads_bounded(data, max_depth=4)
    if type(fields) is not list:
        raise InvalidOperationError("An operation's header is not a list.")
    header = _header_of(cast("list[Any]", fields))
    _check_header(header, InvalidOperationError)
    if header.encode() != data:
        raise MalformedError("An operation's header is not in the one deterministic form.")
    return header


def _header_of(fields: list[Any]) -> Header:
    """Take a header apart by its own counts; every element is type-checked here."""
    if len(fields) < 6:
        raise InvalidOperationError("An operation's header has too few elements.")
    version, public_key, signature, payload_size = fields[:4]
    if type(version) is not int or version != VERSION:
        raise InvalidOperationError("An operation has a version this program does not know.")
    if type(public_key) is not bytes or len(public_key) != 32:
        raise InvalidOperationError("An operation's author is not a public key.")
    if type(signature) is not bytes or len(signature) != 64:
        raise InvalidOperationError("An operation's signature has the wrong size.")
    place = 4
    payload_hash: bytes | None = None
    if type(payload_size) is not int:
        raise InvalidOperationError("An operation's payload size is not a number.")
    if payload_size > 0:
        payload_hash = _bytes32(fields[place], "payload hash")
        place += 1
    seq_num = fields[place]
    if type(seq_num) is not int:
        raise InvalidOperationError("An operation's place in its log is not a number.")
    place += 1
    backlink: bytes | None = None
    if seq_num > 0:
        if place >= len(fields):
            raise InvalidOperationError("An operation's header has too few elements.")
        backlink = _bytes32(fields[place], "backlink")
        place += 1
    if place != len(fields) - 1:
        raise InvalidOperationError("An operation's header has the wrong number of elements.")
    return Header(
        public_key=public_key,
        signature=signature,
        payload_size=payload_size,
        payload_hash=payload_hash,
        seq_num=seq_num,
        backlink=backlink,
        extensions=_extensions_of(fields[place]),
    )


_KNOWN_EXTENSIONS = frozenset({"log", "kind", "time", "epoch", "group", "prune", "previous"})


def _extensions_of(value: Any) -> Extensions:
    if type(value) is not dict:
        raise InvalidOperationError("An operation's extensions are not a map.")
    fields = cast("Mapping[str, Any]", value)
    if not _KNOWN_EXTENSIONS.issuperset(fields):
        raise InvalidOperationError("An operation has an extension this program does not know.")
    kind = fields.get("kind")
    time = fields.get("time")
    previous = fields.get("previous", ())
    if type(kind) is not str or type(time) is not int:
        raise InvalidOperationError("An operation lacks its kind or time.")
    if "previous" in fields and (type(previous) is not list or not previous):
        raise InvalidOperationError("An operation's list of heads is not a list.")
    if fields.get("prune", True) is not True:
        raise InvalidOperationError("An operation's prune mark is not a mark.")
    return Extensions(
        log=_bytes32(fields.get("log"), "log"),
        kind=kind,
        group=_bytes32(fields["group"], "group") if "group" in fields else None,
        epoch=_bytes32(fields["epoch"], "epoch") if "epoch" in fields else None,
        previous=tuple(_bytes32(head, "head") for head in cast("list[Any]", previous)),
        time=time,
        prune="prune" in fields,
    )


def _bytes32(value: Any, name: str) -> bytes:
    if type(value) is not bytes or len(value) != _ID_BYTES:
        raise InvalidOperationError(f"An operation's {name} is not 32 bytes.")
    return value


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
    if len(previous) > MAX_PREVIOUS or any(left >= right for left, right in pairwise(previous)):
        raise error("An operation's list of heads is too long, unsorted or has duplicates.")


def _check_body(header: Header, body: bytes) -> None:
    if header.payload_hash is None or len(body) != header.payload_size:
        raise InvalidOperationError("An operation's body has another size than its header says.")
    if not equal_constant_time(blake3_hash(body), header.payload_hash):
        raise InvalidOperationError("An operation's body does not have the hash its header names.")
