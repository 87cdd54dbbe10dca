"""The state machines of a session as tables; whatever is not in a table is a violation."""

from __future__ import annotations

from enum import Enum

from lutra.sync import frames as f
from lutra.sync.errors import SyncViolationError
from lutra.sync.events import CloseReason


class Role(Enum):
    """Which side of the channel this is; the initiator begins reconciliations."""

    INITIATOR = "initiator"
    RESPONDER = "responder"

    @property
    def other(self) -> Role:
        """The peer's role."""
        return Role.RESPONDER if self is Role.INITIATOR else Role.INITIATOR


class SessionState(Enum):
    """Where a session stands."""

    GREETING = "greeting"
    OPEN = "open"
    CLOSED = "closed"


_GROUP_FRAMES: frozenset[type[f.Frame]] = frozenset(
    (f.Round, f.Done, f.Operations, f.Part, f.Request, f.Forks, f.Branches, f.Ask, f.Presence)
)
SESSION_FRAMES: dict[SessionState, frozenset[type[f.Frame]]] = {
    SessionState.GREETING: frozenset((f.Hello, f.Goodbye)),
    SessionState.OPEN: _GROUP_FRAMES | {f.Announce, f.Introduce, f.Ack, f.Goodbye},
    SessionState.CLOSED: frozenset(),
}
"""Which frames may arrive in which state."""


class Stage(Enum):
    """How far two devices have come with one group."""

    INTRODUCTION = "introduction"
    """One side, not known as a member yet, sends control logs; `lutra.sync.sharing` ends it."""
    CONTROL = "control"
    """Control logs are exchanged; nothing else is."""
    DATA = "data"
    """Control logs are equal; document logs are exchanged."""
    LIVE = "live"
    """All has been exchanged; new operations pass as they are made."""


ROUND_STAGES = {True: (Stage.CONTROL,), False: (Stage.DATA,)}
"""Stages in which the peer's rounds about control logs (True) or documents (False) may arrive."""
DONE_STAGES = {True: (Stage.INTRODUCTION, Stage.CONTROL), False: (Stage.DATA,)}
"""Stages in which the peer may say that it has sent everything."""
REQUEST_STAGES = {
    True: (Stage.CONTROL, Stage.DATA, Stage.LIVE),
    False: (Stage.DATA, Stage.LIVE),
}
"""Stages in which the peer may ask for logs."""
SHARED_STAGES = (Stage.CONTROL, Stage.DATA, Stage.LIVE)
"""Stages in which single control operations may be named and asked for."""


class StageEvent(Enum):
    """Both sides have sent all control operations, or all of the rest."""

    CONTROL_DONE = "control-done"
    DATA_DONE = "data-done"


STAGES: dict[tuple[Stage, StageEvent], Stage] = {
    (Stage.CONTROL, StageEvent.CONTROL_DONE): Stage.DATA,
    (Stage.DATA, StageEvent.DATA_DONE): Stage.LIVE,
}


class ExchangeState(Enum):
    """Whose turn it is in one reconciliation."""

    IDLE = "idle"
    """Nothing was said yet."""
    AWAITING = "awaiting"
    """We asked; the peer's round is due."""
    FINISHED = "finished"
    """No range is open any more."""


class ExchangeEvent(Enum):
    """A complete round, ours or theirs, seen from our side."""

    ASKED = "asked"
    """We sent a round that leaves ranges open."""
    CLOSED = "closed"
    """A round, theirs or ours, left no range open."""


EXCHANGES: dict[tuple[ExchangeState, ExchangeEvent], ExchangeState] = {
    (ExchangeState.IDLE, ExchangeEvent.ASKED): ExchangeState.AWAITING,
    (ExchangeState.IDLE, ExchangeEvent.CLOSED): ExchangeState.FINISHED,
    (ExchangeState.AWAITING, ExchangeEvent.ASKED): ExchangeState.AWAITING,
    (ExchangeState.AWAITING, ExchangeEvent.CLOSED): ExchangeState.FINISHED,
}


def next_stage(stage: Stage, event: StageEvent) -> Stage:
    """Return the stage that follows.

    Raises:
        SyncViolationError: the event is impossible in this stage.
    """
    following = STAGES.get((stage, event))
    if following is None:
        raise out_of_state(f"{event.value} in stage {stage.value}")
    return following


def next_exchange(state: ExchangeState, event: ExchangeEvent) -> ExchangeState:
    """Return the state of a reconciliation that follows.

    Raises:
        SyncViolationError: the event is impossible in this state.
    """
    following = EXCHANGES.get((state, event))
    if following is None:
        raise out_of_state(f"round {event.value} in a reconciliation that is {state.value}")
    return following


def check_session_frame(state: SessionState, frame: f.Frame) -> None:
    """Refuse a frame that may not arrive in this state.

    Raises:
        SyncViolationError: it may not.
    """
    if type(frame) not in SESSION_FRAMES[state]:
        raise out_of_state(f"{type(frame).__name__} while {state.value}")


def out_of_state(what: str) -> SyncViolationError:
    """Return the violation for something sent at a wrong time."""
    return SyncViolationError(
        CloseReason.STATE, "A peer sent something that is not allowed at this point.", event=what
    )
