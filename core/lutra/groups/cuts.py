"""How far the logs of the removed are still accepted (GROUPS §2.11).

A removal names the last operation of each log that its author held. Members that were cut off may
have accepted later ones, and built on them, before they learned of the removal: they *extend* its
cuts. Extensions only ever add. A member that vouches for too much lets the removed write on; it
could as well write the same in its own name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lutra.groups.contents import Cut


class CutBook:
    """Extensions of removals' cuts, by the place of the removal in the history."""

    def __init__(self) -> None:
        self._extended: dict[int, dict[tuple[bytes, bytes], int]] = {}

    def extend(self, removal: int, cuts: Iterable[Cut]) -> None:
        """Note a valid extension of the cuts of the removal at index ``removal``."""
        _merge(self._extended.setdefault(removal, {}), cuts)

    def known(self, removal: int, cuts: Iterable[Cut]) -> Mapping[tuple[bytes, bytes], int]:
        """Return (device, log) → last accepted sequence number: ``cuts`` and all extensions."""
        union = dict(self._extended.get(removal, {}))
        _merge(union, cuts)
        return union


def _merge(union: dict[tuple[bytes, bytes], int], cuts: Iterable[Cut]) -> None:
    for cut in cuts:
        place = (cut.device, cut.log)
        union[place] = max(cut.seq_num, union.get(place, cut.seq_num))
