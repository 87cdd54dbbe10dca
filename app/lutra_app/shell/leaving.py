"""The question before the window closes over text that could not be stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QWidget

from lutra.documents.delta import Span
from lutra_app.i18n import tr
from lutra_app.shell.task import Task, plain, primary
from lutra_app.theme.theme import Theme
from lutra_app.theme.tokens import Space
from lutra_app.theme.widgets import label

if TYPE_CHECKING:
    from lutra.documents.replica import Replica

_SUFFIX = ".md"


class Leaving(Task):
    """Offers to stay, to take the text elsewhere, or to lose it."""

    def __init__(self, theme: Theme, over: QWidget) -> None:
        super().__init__(theme, over, heading=tr("This text is not stored"))
        self._replica: Replica | None = None
        self._close = QPushButton()

    def begin(self, page: Replica, reason: str, leave: Callable[[], None]) -> None:
        """Ask.

        Args:
            page: what is on it is at stake.
            reason: why it could not be stored, a sentence; empty while that is not known.
            leave: closes the window.
        """
        self._replica = page
        title = page.title.strip() or tr("Untitled")
        elsewhere = QHBoxLayout()
        elsewhere.setSpacing(Space.S)
        elsewhere.addWidget(plain(tr("Copy the text"), self._copy))
        elsewhere.addWidget(plain(tr("Save it as a file …"), self._ask_file))
        elsewhere.addStretch(1)
        self._close = plain(tr("Close and lose it"), leave, "danger")
        stay = primary(tr("Stay"), self.close_sheet)
        self.show_step(
            label(
                tr(
                    "What you typed last on the page “{title}” is not stored on this device. If "
                    "Lutra closes now, it is lost.",
                    title=title,
                ),
                "lead",
                wrap=True,
            ),
            label(reason or tr("Storing it takes unusually long."), "muted", wrap=True),
            elsewhere,
            buttons=(self._close, stay),
            focus=stay,
        )
        self.open_task()

    def write(self, path: Path) -> None:
        """Write the page as Markdown into a file, in the place of one of this name."""
        try:
            path.write_text(self._text(), encoding="utf-8", newline="\n")
        except OSError as error:
            self.fail(
                tr(
                    "The file could not be written: {reason}. Choose another disk.",
                    reason=error.strerror or str(error),
                )
            )
        else:
            self._close.setText(tr("Close"))
            self.say(tr("The whole page is in {path} now.", path=path), good=True)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._text())
        # On some systems what was copied is gone with the program.
        self.say(
            tr("The whole page is copied. Paste it somewhere else before you close Lutra."),
            good=True,
        )

    def _ask_file(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self,
            tr("Save the text"),
            str(Path.home() / f"lutra{_SUFFIX}"),
            tr("Text (*{suffix})", suffix=_SUFFIX),
        )
        if name:
            # The file dialog has asked whether to replace a file of this name.
            self.write(Path(name))

    def _text(self) -> str:
        # The writer is only needed now.
        from lutra.documents.markdown_writer import to_markdown

        assert self._replica is not None
        words = " ".join(self._replica.title.split())
        title = [Span(words), Span("\n", {"block": "h1"})] if words else []
        return to_markdown([*title, *self._replica.body_spans()])
