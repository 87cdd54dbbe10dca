"""Which data operations count: judged by the signed log, never by whether they decrypt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lutra.groups.contents import Role
from lutra.groups.control_state import ControlState

_MAX_CACHED = 4096
_Cuts = Mapping[tuple[bytes, bytes], int]


@dataclass(frozen=True, slots=True)
class _Standing:
    """What an author knew (a bit set) and which person it was, where it was a writer then."""

    known: int
    person: bytes


class DataRules:
    """Judges data operations; asked for each of them, so it remembers what cannot change."""

    def __init__(self, control: ControlState) -> None:
        self._control = control
        # Judged by what the author knew alone, so for good.
        self._standings: dict[tuple[bytes, bytes, tuple[bytes, ...]], _Standing | None] = {}
        # Changes whenever a control operation arrives.
        self._removals: dict[bytes, list[tuple[int, _Cuts | None]]] = {}
        self._judged_at = 0

    def accepts(
        self, author: bytes, log: bytes, seq_num: int, *, epoch: bytes, heads: tuple[bytes, ...]
    ) -> bool | None:
        """Tell whether a data operation counts (GROUPS §2.6.4, §2.11).

        Its author must have been a writer by what it knew, have used the head of that time, and lie
        within the cut, extensions included, of every removal it did not know. None while one of
        ``heads`` is unknown.
        """
        key = (author, epoch, heads)
        try:
            standing = self._standings[key]
        except KeyError:
            known = self._control.history.closure(heads)
            if known is None:
                return None
            if len(self._standings) >= _MAX_CACHED:
                self._standings.clear()
            standing = self._standings[key] = self._judge(author, epoch, known)
        return standing is not None and not self._is_cut_off(standing, author, log, seq_num)

    def is_cut_off(
        self, author: bytes, log: bytes, seq_num: int, *, epoch: bytes, heads: tuple[bytes, ...]
    ) -> bool:
        """Tell whether nothing but a removal's cut speaks against a data operation.

        It counts once a member that had accepted it before vouches for it.
        """
        if self.accepts(author, log, seq_num, epoch=epoch, heads=heads) is not False:
            return False
        return self._standings[author, epoch, heads] is not None

    def _is_cut_off(self, standing: _Standing, author: bytes, log: bytes, seq_num: int) -> bool:
        removals = self._removals_of(standing.person)
        return bool(removals) and not all(
            # Whoever leaves knows its own work: leaving cuts nothing off.
            bool(standing.known >> index & 1)
            or cuts is None
            or seq_num <= cuts.get((author, log), -1)
            for index, cuts in removals
        )

    def _judge(self, author: bytes, epoch: bytes, known: int) -> _Standing | None:
        auth, head = self._control.auth(known), self._control.head(known)
        role = auth.role_of(author)
        if role is None or role < Role.WRITER or head is None or head.id != epoch:
            return None
        return _Standing(known, auth.devices[author])

    def _removals_of(self, person: bytes) -> list[tuple[int, _Cuts | None]]:
        control = self._control
        if self._judged_at != len(control.history):
            self._judged_at = len(control.history)
            self._removals.clear()
        removals = self._removals.get(person)
        if removals is None:
            removals = self._removals[person] = [
                (index, None if content is None else control.cuts.known(index, content.cuts))
                for index, content in control.authorisation.removals_of(person, control.everything)
            ]
        return removals
