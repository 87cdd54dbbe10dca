"""Range-based set reconciliation of two head sets, in turns.

A round is one side's turn: ranges that ascend over the whole key space. A range is compared by
fingerprint; if it differs it is cut into smaller ones, and small ones are listed. Whoever receives
a list knows what either side lacks: it asks for what it lacks itself (wants) and sends the rest
unasked. A side that holds nothing in a range is sent everything there without a list. A round
that leaves nothing to compare closes the reconciliation; it is not answered.

Both sides learn what they have in common without listing it: from equal fingerprints, and the
lister from what was not wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from lutra.operation import LogKey
from lutra.sync import limits
from lutra.sync.errors import beyond_limit, malformed
from lutra.sync.frames import (
    ID_PREFIX_BYTES,
    Compare,
    Equal,
    Item,
    Listed,
    Range,
    Skip,
    Want,
)
from lutra.sync.heads import Head, HeadSet
from lutra.sync.states import (
    ExchangeEvent,
    ExchangeState,
    next_exchange,
    out_of_state,
)

_LEAF = 16
"""Ranges with at most so many logs are listed instead of cut."""
_BRANCH = 16
_LIST_BUDGET = 512 * 1024
"""Estimated bytes of ranges and wants in one frame, half of what a frame may have."""
_ITEM_COST = 64 + ID_PREFIX_BYTES + 9
_RANGE_COST = 40
_EVERYTHING = (b"", None)


@dataclass(slots=True)
class Outcome:
    """What a received part of a round has shown.

    Attributes:
        lacking: logs the peer needs, with the last sequence number it has.
        held: logs the peer holds at least up to a sequence number.
        matched: ranges in which both hold the same heads.
    """

    lacking: list[tuple[LogKey, int | None]] = field(
        default_factory=list[tuple[LogKey, int | None]]
    )
    held: list[tuple[LogKey, int]] = field(default_factory=list[tuple[LogKey, int]])
    matched: list[tuple[bytes, bytes | None]] = field(
        default_factory=list[tuple[bytes, bytes | None]]
    )

    def match(self, lower: bytes, upper: bytes | None) -> None:
        """Note a matched range, as one with its left neighbour where they touch."""
        if self.matched and self.matched[-1][1] == lower:
            lower = self.matched.pop()[0]
        self.matched.append((lower, upper))


@dataclass(frozen=True, slots=True)
class Turn:
    """One frame's worth of a round to send."""

    last: bool
    ranges: Sequence[Range]
    wants: Sequence[Want]


class Exchange:
    """One reconciliation, seen from one side.

    Args:
        heads: returns the live head set of this side.
        in_brief: tells whether this side may answer the first round as equal. Otherwise it asks
            back, so that the peer's word on what came before is awaited.

    Attributes:
        is_equal: the very first answer said that both hold just the same: nothing is to be sent.
            What later rounds find equal is not meant, though it be everything: much was said then.
    """

    def __init__(
        self, heads: Callable[[], HeadSet], in_brief: Callable[[], bool] = lambda: True
    ) -> None:
        self._heads = heads
        self._in_brief = in_brief
        self.state = ExchangeState.IDLE
        self.is_equal = False
        self._rounds = 0
        self._compared: dict[tuple[bytes, bytes | None], list[Head]] = {}
        self._listed: dict[LogKey, int] = {}
        self._begin_incoming()

    @property
    def finished(self) -> bool:
        """Nothing is left to compare."""
        return self.state is ExchangeState.FINISHED

    def begin(self) -> list[Turn]:
        """Return the first round: the fingerprint of everything."""
        self._compare(*_EVERYTHING)
        turns = self._finish_reply()
        self._begin_incoming()
        return turns

    def receive(
        self, ranges: Iterable[Range], wants: Iterable[Want], last: bool
    ) -> tuple[Outcome, list[Turn]]:
        """Take one frame of the peer's round; the answer is complete after its last one.

        Raises:
            SyncViolationError: it is not the peer's turn, the ranges do not ascend, or the round
                exceeds a limit.
        """
        if self.state is ExchangeState.FINISHED:
            raise out_of_state("a round in a finished reconciliation")
        outcome = Outcome()
        for want in wants:
            outcome.lacking.append((want.key, want.after))
            self._listed.pop(want.key, None)
        for item in ranges:
            self._take(item, outcome)
        self._check_round()
        if not last:
            return outcome, []
        outcome.held += self._listed.items()
        self._listed = {}
        self._compared = {}
        closing = self._open == 0
        self._rounds += 1
        turns = [] if closing else self._finish_reply()
        if closing:
            self.state = next_exchange(self.state, ExchangeEvent.CLOSED)
        self._begin_incoming()
        return outcome, turns

    def _begin_incoming(self) -> None:
        self._lower: bytes | None = b""
        self._open = 0
        self._items = 0
        self._reply: list[Range] = []
        self._wants: list[Want] = []
        self._asked = 0
        # What we ask in this reply becomes what we await answers to when it is sent.
        self._next_compared: dict[tuple[bytes, bytes | None], list[Head]] = {}
        self._next_listed: dict[LogKey, int] = {}

    def _check_round(self) -> None:
        if self._rounds >= limits.MAX_ROUNDS:
            raise beyond_limit("A peer keeps comparing without end.")
        if self._open > limits.MAX_ROUND_RANGES + limits.MAX_ROUND_ITEMS // _LEAF:
            raise beyond_limit("A peer compares too many ranges at once.")
        if self._items > limits.MAX_ROUND_ITEMS:
            raise beyond_limit("A peer lists too many logs at once.")

    def _take(self, item: Range, outcome: Outcome) -> None:
        lower, upper = self._lower, item.upper
        if lower is None or (upper is not None and upper <= lower):
            raise malformed("A peer sent ranges that do not ascend.")
        self._lower = upper
        match item:
            case Skip():
                self._skip(upper)
            case Equal():
                self._confirm(lower, upper, outcome)
                self._skip(upper)
            case Compare():
                self._open += 1
                self._answer(lower, item, outcome)
            case Listed():
                self._open += 1
                self._items += len(item.items)
                self._difference(lower, item, outcome)
                self._skip(upper)

    def _confirm(self, lower: bytes, upper: bytes | None, outcome: Outcome) -> None:
        then = self._compared.get((lower, upper))
        if then is None:
            return
        self.is_equal |= self._rounds == 0
        if self._heads().items(lower, upper) == then:
            outcome.match(lower, upper)
        else:
            # Operations have come since we sent the fingerprint that the peer found equal.
            outcome.held += [(head.key, head.seq_num) for head in then]

    def _answer(self, lower: bytes, item: Compare, outcome: Outcome) -> None:
        heads, upper = self._heads(), item.upper
        own = heads.fingerprint(lower, upper)
        is_first = self.state is ExchangeState.IDLE and (lower, upper) == _EVERYTHING
        if own.logs == item.logs and own.digest == item.digest:
            if is_first and not self._in_brief():
                self._compare(lower, upper)
                return
            outcome.match(lower, upper)
            self._reply.append(Equal(upper))
            self.is_equal |= is_first
        elif item.logs == 0:
            outcome.lacking += [(head.key, None) for head in heads.items(lower, upper)]
            self._skip(upper)
        elif own.logs <= _LEAF or self._asked >= limits.MAX_ROUND_RANGES:
            self._list(lower, upper)
        elif item.logs <= _LEAF:
            self._compare(lower, upper)
        else:
            parts = max(2, min(_BRANCH, own.logs // (_LEAF // 2)))
            for cut in heads.split(lower, upper, parts):
                self._compare(lower, cut)
                lower = cut
            self._compare(lower, upper)

    def _skip(self, upper: bytes | None) -> None:
        if self._reply and type(self._reply[-1]) is Skip:
            self._reply[-1] = Skip(upper)
        else:
            self._reply.append(Skip(upper))

    def _compare(self, lower: bytes, upper: bytes | None) -> None:
        heads = self._heads()
        own = heads.fingerprint(lower, upper)
        self._reply.append(Compare(upper, own.logs, own.digest))
        self._next_compared[lower, upper] = heads.items(lower, upper)
        self._asked += 1

    def _list(self, lower: bytes, upper: bytes | None) -> None:
        heads = self._heads().items(lower, upper)
        for start in range(0, max(1, len(heads)), limits.MAX_LISTED):
            some = heads[start : start + limits.MAX_LISTED]
            following = heads[start + limits.MAX_LISTED : start + limits.MAX_LISTED + 1]
            bound = _flat(following[0]) if following else upper
            items = [Item(_flat(head), head.seq_num, _prefix(head)) for head in some]
            self._reply.append(Listed(bound, items))
            self._asked += 1
        self._next_listed.update((head.key, head.seq_num) for head in heads)

    def _difference(self, lower: bytes, item: Listed, outcome: Outcome) -> None:
        own = {_flat(head): head for head in self._heads().items(lower, item.upper)}
        before = None
        for flat, seq_num, id_prefix in item.items:
            if flat < lower or (item.upper is not None and flat >= item.upper):
                raise malformed("A peer listed a log outside of its range.")
            if before is not None and flat <= before:
                raise malformed("A peer listed logs that do not ascend.")
            before = flat
            head = own.pop(flat, None)
            if head is None:
                self._wants.append(Want(LogKey(flat[:32], flat[32:]), None))
            elif head.seq_num < seq_num:
                self._wants.append(Want(head.key, head.seq_num))
            elif head.seq_num > seq_num:
                outcome.lacking.append((head.key, seq_num))
            elif _prefix(head) == id_prefix:
                outcome.held.append((head.key, seq_num))
            else:
                # A fork: the peer's log from its start shows where it began.
                self._wants.append(Want(head.key, None))
        outcome.lacking += [(head.key, None) for head in own.values()]

    def _finish_reply(self) -> list[Turn]:
        asked = self._asked > 0
        self._compared, self._listed = self._next_compared, self._next_listed
        event = ExchangeEvent.ASKED if asked else ExchangeEvent.CLOSED
        self.state = next_exchange(self.state, event)
        return list(_turns(self._reply, self._wants))


def _turns(ranges: list[Range], wants: list[Want]) -> Iterable[Turn]:
    """Cut a round into frames of bounded size."""
    frames: list[tuple[list[Range], list[Want]]] = [([], [])]
    budget = _LIST_BUDGET
    for item in ranges:
        cost = _RANGE_COST + (len(item.items) * _ITEM_COST if type(item) is Listed else 0)
        if cost > budget or len(frames[-1][0]) >= limits.MAX_FRAME_RANGES:
            frames.append(([], []))
            budget = _LIST_BUDGET
        frames[-1][0].append(item)
        budget -= cost
    for want in wants:
        if budget < _ITEM_COST or len(frames[-1][1]) >= limits.MAX_FRAME_WANTS:
            frames.append(([], []))
            budget = _LIST_BUDGET
        frames[-1][1].append(want)
        budget -= _ITEM_COST
    for place, (some, wanted) in enumerate(frames):
        yield Turn(place == len(frames) - 1, some, wanted)


def _flat(head: Head) -> bytes:
    return head.key.author + head.key.log


def _prefix(head: Head) -> bytes:
    return head.id[:ID_PREFIX_BYTES]
