"""What a call of the engine caused, for the node to carry out once it has committed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lutra.node.events import Event
from lutra.node.session_hub import Traffic
from lutra.store.joins import JoinRow


@dataclass(frozen=True, slots=True)
class Reach:
    """Whom this device looks for and lets in.

    Attributes:
        devices: members of its groups, itself included.
        secrets: group id → discovery secret.
        offered: rendezvous at which somebody may look for this device to join a group.
        joins: invites that this device uses.
        kits: rendezvous of recovery kits whose persons could come back here.
    """

    devices: frozenset[bytes]
    secrets: Mapping[bytes, bytes] = field(repr=False)
    offered: Sequence[bytes] = field(default=(), repr=False)
    joins: Sequence[JoinRow] = ()
    kits: Sequence[bytes] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Effects:
    """What a call caused, for the node to carry out.

    Attributes:
        events: for listeners, in order.
        traffic: for connections.
        deadline: monotonic time of the next `Engine.tick`, or None if nothing is due.
        burdened: connections with bulk to send: call `Engine.produce` for those that can take it.
        arrived: bulk has arrived: call `Engine.take_in` soon, after what is more urgent.
        reach: whom to look for and let in, if that may have changed.
        wipe: why everything on this device is to be deleted, if it is.
    """

    events: Sequence[Event]
    traffic: Traffic
    deadline: float | None
    burdened: frozenset[int]
    arrived: bool
    reach: Reach | None
    wipe: str | None = None
