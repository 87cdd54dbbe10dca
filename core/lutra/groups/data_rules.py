"""Which data operations count: judged by the signed log, never by whether they decrypt."""

from __future__ import annotations

from lutra.groups.contents import RemovePerson, Role
from lutra.groups.control_state import ControlState


def accepts(
    control: ControlState,
    author: bytes,
    log: bytes,
    seq_num: int,
    *,
    epoch: bytes,
    heads: tuple[bytes, ...],
) -> bool | None:
    """Tell whether a data operation counts (GROUPS §2.6.4, §2.11); None while heads are unknown.

    Its author must have been a writer by what it knew, have used the head of that time, and lie
    within the cut of every removal it did not know.
    """
    known = control.history.closure(heads)
    if known is None:
        return None
    auth, head = control.auth(known), control.head(known)
    role = auth.role_of(author)
    if role is None or role < Role.WRITER or head is None or head.id != epoch:
        return False
    removals = control.authorisation.removals_of(auth.devices[author], control.everything)
    return all(
        bool(known >> index & 1) or _is_within(content, author, log, seq_num)
        for index, content in removals
    )


def _is_within(content: RemovePerson | None, author: bytes, log: bytes, seq_num: int) -> bool:
    # Whoever leaves knows its own work: leaving cuts nothing off.
    return content is None or any(
        cut.device == author and cut.log == log and seq_num <= cut.seq_num for cut in content.cuts
    )
