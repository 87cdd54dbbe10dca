"""A task that talks with the node: what it asked for ends with the sheet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from PySide6.QtWidgets import QWidget

from lutra_app.bridge import Bridge
from lutra_app.shell.task import Task
from lutra_app.theme.theme import Theme

if TYPE_CHECKING:
    from lutra.node.node import Node
    from lutra.node.verbs_pairing import Pairs

Result = TypeVar("Result")


class Flow(Task):
    """A sheet with a task for the node.

    Attributes:
        bridge: the way to the node.
        theme: what to draw with.
    """

    def __init__(
        self, bridge: Bridge, theme: Theme, over: QWidget, *, heading: str, width: int = 480
    ) -> None:
        super().__init__(theme, over, heading=heading, width=width)
        self.bridge, self.theme = bridge, theme
        self._stops: list[Callable[[], None]] = []
        self.closed.connect(self.give_up)

    def ask(
        self,
        verb: Callable[[Node], Awaitable[Result]],
        done: Callable[[Result], None] | None = None,
        *,
        busy: str = "",
        failed: Callable[[str], None] | None = None,
    ) -> Callable[[], None]:
        """Ask the node; the answer reaches the sheet only while it is open.

        Args:
            verb: called on the node's thread.
            done: called with the result.
            busy: what is under way, said until the answer.
            failed: called with a sentence; by default the step shows it.

        Returns:
            A function that gives up waiting.
        """
        if busy:
            self.busy(busy)

        def answer(result: Result) -> None:
            if busy:
                self.settle()
            if done is not None:
                done(result)

        stop = self.bridge.ask(verb, answer, failed or self.fail)
        self._stops.append(stop)
        return stop

    def ask_pairing(
        self,
        verb: Callable[[Pairs], Awaitable[Result]],
        done: Callable[[Result], None] | None = None,
        *,
        failed: Callable[[str], None] | None = None,
    ) -> None:
        """Ask whoever can be paired; see `ask`."""
        stop = self.bridge.ask_pairing(verb, done, failed or self.fail)
        self._stops.append(stop)

    def give_up(self) -> None:
        """Wait for no answer any more."""
        stops, self._stops = self._stops, []
        for stop in stops:
            stop()

    def happened(self, event: object) -> None:
        """Take an event of the node while the sheet is open."""
