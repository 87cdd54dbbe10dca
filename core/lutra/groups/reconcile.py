"""What a commit must and may change, given what its author knew (GROUPS §2.3.3-4, §2.7).

Making and judging commits use the same function, so that honest commits are never invalid.
"""

from __future__ import annotations

from dataclasses import dataclass

from lutra.groups.authorisation import Auth
from lutra.groups.epochs import EpochNode


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes of a roster.

    Attributes:
        removes: devices whose leaves must go.
        may_add: devices that may be added, where they offer a key package.
    """

    removes: frozenset[bytes]
    may_add: frozenset[bytes]


def changes_for(parent: EpochNode, auth: Auth, unserved: frozenset[bytes]) -> Changes:
    """Return what a member's commit on ``parent`` must remove and may add.

    Args:
        parent: the head its author knew.
        auth: authorisation by what its author knew.
        unserved: devices that asked to be added anew.
    """
    roster = parent.roster.keys()
    stale = unserved.intersection(roster)
    return Changes(
        removes=frozenset(roster - auth.leaves) | stale,
        may_add=frozenset(auth.leaves - roster) | (stale & auth.leaves),
    )
