"""What was typed and could not be saved stays on the page until it is stored somewhere.

It is handed to the node once more; what the node does not take then goes, as a copy of the page,
into a group of one's own. Nothing is closed or shown anew before one of the two has worked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QEventLoop, QObject, Signal

from lutra.documents.delta import Span
from lutra.node.views import DocumentView
from lutra_app.bridge import Bridge
from lutra_app.editor.session import PageSession
from lutra_app.i18n import tr
from lutra_app.shell.banners import Banner, Banners

if TYPE_CHECKING:
    from lutra.node.node import Node

_BANNER = "refused"
_PATIENCE_SECONDS = 5.0
_STEP_SECONDS = 0.002


class Rescue(QObject):
    """Looks after what is on the open page and not stored.

    Args:
        bridge: the way to the node.
        banners: where it is said.
        parent: lives as long.

    Attributes:
        holding: the node did not take what is on the page: it must not be written on or lost.

    Signals:
        refused: the node did not take something: a sentence.
        saved: the page has everything again.
        copied: what the page did not take is in this page (a `DocumentView`).
        reopen_wanted: the page is to be shown as the node has it.
    """

    refused = Signal(str)
    saved = Signal()
    copied = Signal(object)
    reopen_wanted = Signal()

    def __init__(self, bridge: Bridge, banners: Banners, parent: QObject) -> None:
        super().__init__(parent)
        self._bridge, self._banners = bridge, banners
        self._session: PageSession | None = None
        self.holding = False
        self._trying = False
        self._waiting: list[tuple[Callable[[], None], Callable[[], None]]] = []

    @property
    def unsaved(self) -> PageSession | None:
        """The page with something on it that is not stored."""
        session = self._session
        return session if session is not None and session.unsaved else None

    def follow(self, session: PageSession) -> None:
        """Look after the page that was opened."""
        self._session = session
        session.settled.connect(self._settled)

    def leave(self) -> None:
        """The page is closed."""
        self._session, self._waiting = None, []
        self._release()

    def when_stored(self, go: Callable[[], None], stay: Callable[[], None]) -> None:
        """Call `go` once nothing would be lost with the page, or `stay` if it would be."""
        session = self._session
        if session is not None:
            session.flush()
        if self.unsaved is None:
            go()
            return
        self._waiting.append((go, stay))
        if session is not None and not session.under_way:
            self.try_again()

    def finish(self) -> bool:
        """Wait until everything is stored; False if that fails or takes too long."""
        ends: list[bool] = []
        self.when_stored(lambda: ends.append(True), lambda: ends.append(False))
        until = time.monotonic() + _PATIENCE_SECONDS
        while not ends and time.monotonic() < until:
            QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
            time.sleep(_STEP_SECONDS)
        return ends == [True]

    def try_again(self) -> None:
        """Save once more: in the page, else as a copy."""
        if self.unsaved is None or self._trying:
            return
        self._trying = True
        self._banners.enable(_BANNER, False)
        self.unsaved.save_again()

    def _settled(self) -> None:
        session = self._session
        if session is None:
            return
        if not session.refused:
            self._release()
            if not self._answer(stored=True):
                self.saved.emit()
            return
        if not self._trying:
            # The page is frozen by this; only then is what it holds copied.
            self._say(session.refused)
        if self._trying or self._waiting:
            self._trying = True
            self._banners.enable(_BANNER, False)
            self._copy(session)

    def _copy(self, session: PageSession) -> None:
        title, spans = session.replica.title, list(session.replica.body_spans())

        def kept(page: DocumentView) -> None:
            if session is not self._session:
                return
            session.let_go()
            self._release()
            self.copied.emit(page)
            if not self._answer(stored=True):
                self.reopen_wanted.emit()

        def failed(reason: str) -> None:
            if session is self._session:
                self._say(reason)
                self._trying = False
                self._banners.enable(_BANNER, True)
                self._answer(stored=False)

        self._bridge.ask(lambda node: keep_copy(node, title, spans), kept, failed)

    def _say(self, reason: str) -> None:
        first = tr("What you typed last could not be saved: {reason}", reason=reason)
        again = tr("What you typed last still could not be saved: {reason}", reason=reason)
        hint = tr(
            "It is only on this page as long as Lutra is open. Saving again keeps it here, or in a "
            "copy among your own pages where this page cannot take it."
        )
        self._banners.show_banner(
            _BANNER,
            Banner(
                f"{again if self._trying else first} {hint}",
                "warning",
                loud=True,
                action=tr("Save again"),
                run=self.try_again,
            ),
        )
        self.holding = True
        self.refused.emit(reason)

    def _release(self) -> None:
        """Nothing has to be looked after any more."""
        self.holding = self._trying = False
        self._banners.show_banner(_BANNER, None)

    def _answer(self, *, stored: bool) -> bool:
        """Tell those who wait; False if nobody does."""
        waiting, self._waiting = self._waiting, []
        for go, stay in waiting:
            (go if stored else stay)()
        return bool(waiting)


async def keep_copy(node: Node, title: str, spans: Sequence[Span]) -> DocumentView:
    """Make a page with a title and formatted text where this person may write.

    That is a group nobody else is in; if there is none, one is made.
    """
    groups = [
        group
        for group in await node.groups()
        if group.member
        and group.role == "admin"
        and all(member.me for member in group.members if member.present)
    ]
    group = groups[0] if groups else await node.create_group(tr("My pages"))
    name = tr("{title} (your copy)", title=title.strip() or tr("Untitled"))
    return await node.create_formatted(group.id, name, spans)
