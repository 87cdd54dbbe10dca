"""The one table of pairing's states: who, in which state, at which event, goes where.

`render` writes it as Markdown for the handbook. Until the devices know each other it matters who
shows the code and who enters it; from then on, who is a device of the person already and who is
new.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from types import MappingProxyType

from lutra.identity.errors import PairingStateError


class Side(Enum):
    """Who shows the code (and waits), who enters it (and speaks first)."""

    SHOWS = "shows the code"
    ENTERS = "enters the code"


class Role(Enum):
    """Which of the two devices belongs to the person already."""

    EXISTING = "existing device"
    NEW = "new device"


class State(Enum):
    """Where a pairing stands."""

    READY = "ready"
    """The code is there; the devices are not connected."""
    CONNECTED = "connected"
    """Connected; the key exchange is under way."""
    CONFIRMING = "confirming"
    """Both shares are known; whether the codes are the same is not."""
    INTRODUCING = "introducing"
    """The codes are the same; waiting for the other device's introduction."""
    COMPARING = "comparing"
    """Both screens show the comparison; waiting for the person at this one."""
    AGREEING = "agreeing"
    """Accepted here; waiting for the other device's part."""
    ADMITTING = "admitting"
    """Accepted on both; this device has to sign the addition."""
    DELIVERING = "delivering"
    """The addition is signed and sent; waiting for the receipt."""
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Event(Enum):
    """What happens to a pairing."""

    CONNECT = "connection opened"
    DISCONNECT = "connection lost"
    SHARE = "key share received"
    PROOF = "right proof received"
    WRONG_CODE = "wrong proof for a short code"
    WRONG_LINK = "wrong proof for a link"
    STRANGER = "not the known device, on a new connection"
    RESUME = "right resumption received"
    CARD = "introduction received"
    SAME_ROLE = "introduction of the same role"
    USED = "the code was used"
    EXPIRED = "the code has expired"
    ACCEPT = "person accepts"
    ACCEPT_READY = "person accepts, consent was there"
    CONSENT = "consent received"
    ADMIT = "addition signed"
    ADMISSION = "addition received"
    RECEIPT = "receipt received"
    TIMEOUT = "time is up"
    EXHAUSTED = "too many attempts"
    VIOLATION = "message breaks the protocol"
    PEER_CANCEL = "other side cancels"
    CANCEL = "person cancels"


TERMINAL = frozenset({State.DONE, State.FAILED, State.CANCELLED})

Party = Side | Role | None
Key = tuple[Party, State, Event]

_S, _E = State, Event
_STEPS: dict[Key, State] = {
    (None, _S.READY, _E.CONNECT): _S.CONNECTED,
    (None, _S.READY, _E.EXHAUSTED): _S.FAILED,
    (Side.SHOWS, _S.CONNECTED, _E.SHARE): _S.CONFIRMING,
    (Side.ENTERS, _S.CONNECTED, _E.SHARE): _S.CONFIRMING,
    (Side.SHOWS, _S.CONNECTED, _E.RESUME): _S.INTRODUCING,
    (None, _S.CONNECTED, _E.DISCONNECT): _S.READY,
    (None, _S.CONNECTED, _E.VIOLATION): _S.READY,
    (Side.SHOWS, _S.CONNECTED, _E.WRONG_CODE): _S.FAILED,
    (Side.SHOWS, _S.CONNECTED, _E.WRONG_LINK): _S.READY,
    (None, _S.CONFIRMING, _E.PROOF): _S.INTRODUCING,
    (None, _S.CONFIRMING, _E.WRONG_CODE): _S.FAILED,
    (None, _S.CONFIRMING, _E.WRONG_LINK): _S.READY,
    (Side.SHOWS, _S.CONFIRMING, _E.VIOLATION): _S.READY,
    # The side that shows has proved nothing yet and may be asked again. The other one has: it must
    # not prove a code twice, so it takes up the same exchange on the next connection.
    (Side.SHOWS, _S.CONFIRMING, _E.DISCONNECT): _S.READY,
    (Side.ENTERS, _S.CONFIRMING, _E.DISCONNECT): _S.CONFIRMING,
    (Side.ENTERS, _S.CONFIRMING, _E.CONNECT): _S.CONFIRMING,
    (Side.ENTERS, _S.CONFIRMING, _E.STRANGER): _S.CONFIRMING,
    (None, _S.INTRODUCING, _E.CARD): _S.COMPARING,
    (None, _S.INTRODUCING, _E.SAME_ROLE): _S.FAILED,
    (Side.ENTERS, _S.INTRODUCING, _E.USED): _S.FAILED,
    (Side.ENTERS, _S.INTRODUCING, _E.EXPIRED): _S.FAILED,
    (Role.EXISTING, _S.COMPARING, _E.CONSENT): _S.COMPARING,
    (Role.EXISTING, _S.COMPARING, _E.ACCEPT_READY): _S.ADMITTING,
    (None, _S.COMPARING, _E.ACCEPT): _S.AGREEING,
    (Role.EXISTING, _S.AGREEING, _E.CONSENT): _S.ADMITTING,
    (Role.NEW, _S.AGREEING, _E.ADMISSION): _S.DONE,
    (Role.EXISTING, _S.ADMITTING, _E.ADMIT): _S.DELIVERING,
    (Role.EXISTING, _S.DELIVERING, _E.RECEIPT): _S.DONE,
    # The addition stands, whether or not the new device could say so.
    (Role.EXISTING, _S.DELIVERING, _E.TIMEOUT): _S.DONE,
}
KNOWN = frozenset({_S.INTRODUCING, _S.COMPARING, _S.AGREEING, _S.ADMITTING, _S.DELIVERING})
"""States in which the codes were the same: a lost connection is taken up again."""


def _complete(steps: dict[Key, State]) -> dict[Key, State]:
    """Add what holds in every state that is not an end."""
    table = dict(steps)
    for state in State:
        if state in TERMINAL:
            continue
        who = Role.EXISTING if state in {_S.ADMITTING, _S.DELIVERING} else None
        table[who, state, _E.CANCEL] = _S.CANCELLED
        table.setdefault((who, state, _E.TIMEOUT), _S.FAILED)
        if state in KNOWN:
            for event in (_E.CONNECT, _E.DISCONNECT, _E.RESUME, _E.STRANGER):
                table[who, state, event] = state
            table.setdefault((who, state, _E.PEER_CANCEL), _S.CANCELLED)
        if state is not _S.READY:
            table.setdefault((who, state, _E.VIOLATION), _S.FAILED)
    return table


TABLE: MappingProxyType[Key, State] = MappingProxyType(_complete(_STEPS))

TIMES: MappingProxyType[State, int] = MappingProxyType(
    {
        State.READY: 600,
        State.CONNECTED: 30,
        State.CONFIRMING: 120,
        State.INTRODUCING: 120,
        State.COMPARING: 600,
        State.AGREEING: 600,
        State.ADMITTING: 600,
        State.DELIVERING: 600,
    }
)
"""Seconds after which a state is left by `Event.TIMEOUT`."""

REASONS: MappingProxyType[tuple[State, Event], str] = MappingProxyType(
    {
        (_S.READY, _E.TIMEOUT): "The other device did not appear. Check that both are on the same "
        "network, or type the address, then start again with a new code.",
        (_S.READY, _E.EXHAUSTED): "Too many attempts were made with this code. Nothing was given "
        "away. Please start again with a new code.",
        (_S.CONNECTED, _E.TIMEOUT): "The other device stopped answering. Please try again with a "
        "new code.",
        (_S.CONNECTED, _E.WRONG_CODE): "The code was not the same on both devices. Nothing was "
        "given away. Please start again with a new code.",
        (_S.CONFIRMING, _E.TIMEOUT): "The other device stopped answering while the codes were "
        "compared. Please try again with a new code.",
        (_S.CONFIRMING, _E.VIOLATION): "The other device sent something that does not belong here. "
        "Nothing was given away. Please start again with a new code.",
        (_S.CONFIRMING, _E.WRONG_CODE): "The code was not the same on both devices, or somebody "
        "else tried to pair. Nothing was given away. Please start again with a new code.",
        (_S.INTRODUCING, _E.TIMEOUT): "The other device did not say who it is. Please try again "
        "with a new code.",
        (_S.INTRODUCING, _E.VIOLATION): "The other device did not prove who it is, so it was "
        "refused. Please start again with a new code.",
        (_S.INTRODUCING, _E.SAME_ROLE): "Both devices are set to the same part: one must be yours "
        "already, the other the new one. Please choose again on one of them.",
        (_S.INTRODUCING, _E.USED): "This code was used already. Please make a new one on the "
        "device that showed it.",
        (_S.INTRODUCING, _E.EXPIRED): "This code has expired. Please make a new one on the device "
        "that showed it.",
        (_S.COMPARING, _E.TIMEOUT): "Nobody confirmed the comparison in time. Nothing was added. "
        "Please start again when both devices are at hand.",
        (_S.COMPARING, _E.VIOLATION): "The other device changed its mind about who it is, so it "
        "was refused. Nothing was added.",
        (_S.AGREEING, _E.TIMEOUT): "The other device did not confirm in time. Please look at its "
        "screen and start again.",
        (_S.AGREEING, _E.VIOLATION): "What the other device sent does not fit what was agreed, so "
        "it was refused. Please start again with a new code.",
        (_S.ADMITTING, _E.TIMEOUT): "The new device could not be added in time. Please start again "
        "with a new code.",
        (_S.ADMITTING, _E.VIOLATION): "The other device sent something that does not belong here. "
        "The new device was not added.",
        (_S.DELIVERING, _E.VIOLATION): "The new device was added but then sent something that does "
        "not belong here. If you do not recognise it, remove it now.",
    }
)
"""What people are told when a pairing fails."""

CANCELLED_HERE = "Pairing was cancelled. Nothing was added."
CANCELLED_LATE = (
    "Pairing was ended here, but the new device had been added already. If you do not want it, "
    "remove it from the list of your devices."
)
UNCONFIRMED = (
    "The new device was added but has not said that it knows. It will learn it when the devices "
    "meet. If pairing failed there, remove it here and start again."
)
CANCELLED_THERE_LATE = (
    "Pairing was ended on the new device after it had been added. Remove it from the list of your "
    "devices, or start again with a fresh key on it."
)
CANCELLED_THERE = "Pairing was cancelled on the other device. Nothing was added."


def step(side: Side, role: Role, state: State, event: Event) -> State:
    """Return the state that follows.

    Raises:
        PairingStateError: the event cannot happen in this state.
    """
    after = possible(side, role, state, event)
    if after is None:
        raise PairingStateError(
            f"Pairing cannot do this now (state: {state.value}, event: {event.value}).",
            state=state.value,
            event=event.value,
        )
    return after


def possible(side: Side, role: Role, state: State, event: Event) -> State | None:
    """Return the state that follows, or None if the event cannot happen in this state."""
    for party in (side, role, None):
        after = TABLE.get((party, state, event))
        if after is not None:
            return after
    return None


def render() -> str:
    """Return the table as Markdown."""
    lines = ["| State | Event | Who | Next state |", "|---|---|---|---|"]
    order = {one: place for place, one in enumerate([*State, *Event, *Side, *Role])}
    rows = [(party, state, event, after.value) for (party, state, event), after in TABLE.items()]

    def place(row: tuple[Party, State, Event, str]) -> tuple[int, int, int]:
        return order[row[1]], order[row[2]], -1 if row[0] is None else order[row[0]]

    for party, state, event, after in sorted(rows, key=place):
        who = "either" if party is None else party.value
        lines.append(f"| {state.value} | {event.value} | {who} | {after} |")
    return "\n".join([*lines, "", *_render_times()]) + "\n"


def _render_times() -> Iterable[str]:
    yield "| State | Left after |"
    yield "|---|---|"
    for state, seconds in TIMES.items():
        yield f"| {state.value} | {seconds} s |"
