"""One side's typist: makes each step in exactly the text the recording made it in.

Edits of the other side arrive at the node whenever the network brings them, and a step's positions
count in the text its parents make. So the typist keeps two replicas: one with everything that has
arrived, and one from which it types, which takes from the first only what the next step's parents
contain.
"""

from __future__ import annotations

from collections.abc import Sequence

from lutra.cli.demo.trace import Script
from lutra.documents.crdt import BODY, counters, export_ranges, new_loro_doc


class Player:
    """Types one agent's steps.

    Args:
        script: what is typed.
        agent: which of its two agents this is.
        snapshot: the document as the editor got it; may hold steps made earlier.
        peer: Loro peer id this side edits as.
        other: Loro peer id the other side edits as.
    """

    def __init__(self, script: Script, agent: int, *, snapshot: bytes, peer: int, other: int):
        self._steps = script.agents[agent]
        self._peer = peer
        self._other = other
        self._arrived = new_loro_doc(peer)
        self._arrived.import_(snapshot)
        have = counters(self._arrived.oplog_vv)
        self.made = have.get(peer, 0)
        self._next = sum(1 for step in self._steps if step.after <= self.made)
        self._taken = self._steps[self._next - 1].needs if self._next else 0
        self._typing = new_loro_doc(peer)
        ranges = {**have, peer: self.made, other: self._taken}
        self._typing.import_(
            export_ranges(self._arrived, {p: (0, end) for p, end in ranges.items() if end})
        )

    @property
    def done(self) -> bool:
        """All steps are made."""
        return self._next == len(self._steps)

    @property
    def next_index(self) -> int | None:
        """Place of the next step in the recording; None if there is none."""
        return None if self.done else self._steps[self._next].index

    @property
    def arrived(self) -> int:
        """How many edits of the other side have arrived."""
        return counters(self._arrived.oplog_vv).get(self._other, 0)

    @property
    def text(self) -> str:
        """The text with everything that has arrived."""
        return self._arrived.get_text(BODY).to_string()

    def take_in(self, updates: Sequence[bytes]) -> None:
        """Take in updates from the node."""
        self._arrived.import_batch(list(updates))

    def type(self, most: int, until: int | None) -> bytes | None:
        """Make steps; returns the update to hand to the editor, or None if none can be made now.

        Args:
            most: make at most so many steps.
            until: make only steps before this place in the recording.
        """
        arrived, before = self.arrived, self.made
        body = self._typing.get_text(BODY)
        for step in self._steps[self._next : self._next + most]:
            if step.needs > arrived or (until is not None and step.index >= until):
                break
            self._take(step.needs)
            for position, delete, insert in step.patches:
                if delete:
                    body.delete(position, delete)
                if insert:
                    body.insert(position, insert)
            self.made = step.after
            self._next += 1
        if self.made == before:
            return None
        self._typing.commit()
        update = export_ranges(self._typing, {self._peer: (before, self.made)})
        self._arrived.import_(update)
        return update

    def _take(self, needs: int) -> None:
        """Take the other side's edits into the text to type in, up to what the step has seen."""
        if needs > self._taken:
            self._typing.commit()
            update = export_ranges(self._arrived, {self._other: (self._taken, needs)})
            self._typing.import_(update)
            self._taken = needs
