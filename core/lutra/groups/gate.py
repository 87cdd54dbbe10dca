"""The send gate: under which epoch nobody known to be removed could read (GROUPS §2.6.2)."""

from __future__ import annotations

from lutra.groups.authorisation import Auth
from lutra.groups.epochs import EpochNode


def is_open(node: EpochNode, auth: Auth) -> bool:
    """Tell whether one may encrypt under an epoch.

    Its roster holds nobody but the authorised, and its author knew every removal: otherwise
    somebody unaware of one could add its target again below this epoch, and link the key.
    """
    return auth.leaves.issuperset(node.roster) and not auth.removals & ~node.known
