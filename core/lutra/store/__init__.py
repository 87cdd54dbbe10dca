"""One encrypted SQLite database per profile, and the directory it lives in."""

from lutra.store.documents import DocumentRow, SearchHit
from lutra.store.drafts import Draft
from lutra.store.groups import GroupRow, MemberRow
from lutra.store.integrity import IntegrityReport
from lutra.store.invites import InviteRow, JoinRequestRow
from lutra.store.joins import JoinRow
from lutra.store.logs import Fork
from lutra.store.operations import OperationState, StoredOperation
from lutra.store.peers import AddressRow
from lutra.store.store import Store

__all__ = [
    "AddressRow",
    "DocumentRow",
    "Draft",
    "Fork",
    "GroupRow",
    "IntegrityReport",
    "InviteRow",
    "JoinRequestRow",
    "JoinRow",
    "MemberRow",
    "OperationState",
    "SearchHit",
    "Store",
    "StoredOperation",
]
