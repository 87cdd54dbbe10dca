"""What a pairing remembers between steps, and its form on disk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, TypeVar, cast

from lutra.codec import decode, encode
from lutra.errors import MalformedError, RemoteError
from lutra.identity.pairing_code import PairingSecret
from lutra.identity.pairing_keys import SessionKeys
from lutra.identity.pairing_messages import (
    MAX_FRAME_BYTES,
    Agreement,
    Card,
    Why,
    operation_rows,
    read_operations,
)
from lutra.identity.pairing_table import Side, State
from lutra.operation import Operation

_FORM = 1
_FIELDS = 17
_Member = TypeVar("_Member", bound=Enum)


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything about a pairing but its connection.

    Attributes:
        side: whether this device shows or enters the code.
        secret: the code or link.
        card: how this device introduces itself.
        blinding: opens the commitment to ``card``.
        state: where the pairing stands.
        deadline: when the state is left for lack of progress.
        sentence: what people should know about how it ended.
        attempts: exchanges made before the code was confirmed.
        strangers: connections that were not the other device's.
        keys: the latest exchange's result.
        peer: the other device's introduction.
        peer_blinding: opens the other device's commitment; empty if it made none.
        comparison: the digits to compare.
        consent: what the new device agreed to.
        admission: the person's device log, from the moment the addition is signed.
        hand_over: what the existing device gives with it; secret.
    """

    side: Side
    secret: PairingSecret
    card: Card
    blinding: bytes
    state: State
    deadline: float
    sentence: str = ""
    attempts: int = 0
    strangers: int = 0
    keys: SessionKeys | None = None
    peer: Card | None = None
    peer_blinding: bytes = b""
    comparison: str = ""
    consent: Agreement | None = None
    admission: tuple[Operation, ...] = ()
    hand_over: bytes = b""

    def without_secrets(self) -> Memory:
        """Return what may be kept of a pairing that has ended."""
        used = PairingSecret(self.secret.number, b"")
        return replace(self, secret=used, blinding=b"", keys=None, hand_over=b"")

    def __repr__(self) -> str:
        return f"Memory(side={self.side.name}, state={self.state.name})"


@dataclass(frozen=True, slots=True)
class Spent:
    """A code that pairs nothing any more, on the device that has shown it; never stored.

    Attributes:
        secret: the code or link.
        why: what whoever knows it may be told.
        attempts: exchanges made with it.
    """

    secret: PairingSecret
    why: Why
    attempts: int


def encode_memory(memory: Memory) -> bytes:
    """Return a memory's bytes; they hold secrets."""
    keys, consent = memory.keys, memory.consent
    return encode(
        [
            _FORM,
            memory.side.name,
            [memory.secret.number, memory.secret.secret],
            memory.card.encode(),
            memory.blinding,
            memory.state.name,
            float(memory.deadline),
            memory.sentence,
            memory.attempts,
            memory.strangers,
            None if keys is None else [keys.master, keys.transcript, keys.commitment],
            None if memory.peer is None else memory.peer.encode(),
            memory.peer_blinding,
            memory.comparison,
            None if consent is None else consent.fields()[1:],
            operation_rows(memory.admission),
            memory.hand_over,
        ]
    )


def decode_memory(stored: bytes) -> Memory:
    """Read what `encode_memory` made.

    Raises:
        MalformedError: the bytes are damaged or of another version.
    """
    value = decode(stored, max_bytes=2 * MAX_FRAME_BYTES)
    fields = cast("list[Any]", value) if type(value) is list else []
    if len(fields) != _FIELDS or fields[0] != _FORM:
        raise MalformedError("A stored pairing is of another version.")
    try:
        return _memory(fields)
    except (RemoteError, KeyError, TypeError, ValueError, IndexError) as error:
        raise MalformedError("A stored pairing is damaged.") from error


def _memory(fields: list[Any]) -> Memory:
    return Memory(
        side=_member(Side, fields[1]),
        secret=PairingSecret(*fields[2]),
        card=Card.decode(fields[3]),
        blinding=fields[4],
        state=_member(State, fields[5]),
        deadline=fields[6],
        sentence=fields[7],
        attempts=fields[8],
        strangers=fields[9],
        keys=None if fields[10] is None else SessionKeys(*fields[10]),
        peer=None if fields[11] is None else Card.decode(fields[11]),
        peer_blinding=fields[12],
        comparison=fields[13],
        consent=None if fields[14] is None else Agreement.read(fields[14]),
        admission=read_operations(fields[15]),
        hand_over=fields[16],
    )


def _member(kind: type[_Member], name: Any) -> _Member:
    return kind[name]
