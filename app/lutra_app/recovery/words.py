"""Twelve fields for the words of a recovery kit, each checked as it is typed."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLineEdit, QWidget

from lutra.identity.recovery import WORDS
from lutra.identity.words import is_word, near_words
from lutra_app.i18n import tr
from lutra_app.theme.tokens import Space
from lutra_app.theme.widgets import label, set_role

_ACROSS = 3


class WordFields(QWidget):
    """The fields; a whole line of words can be pasted into any of them.

    Signals:
        changed: something was typed.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(Space.S)
        grid.setVerticalSpacing(Space.S)
        self.fields: list[QLineEdit] = []
        for place in range(WORDS):
            field = QLineEdit()
            field.setProperty("role", "code")
            field.setAccessibleName(tr("Word {number}", number=place + 1))
            field.setMinimumWidth(64)
            field.textEdited.connect(lambda text, place=place: self._typed(place, text))
            number = label(f"{place + 1}", "muted")
            number.setFixedWidth(18)
            row = QHBoxLayout()
            row.setSpacing(Space.XS)
            row.addWidget(number)
            row.addWidget(field, 1)
            grid.addLayout(row, place // _ACROSS, place % _ACROSS)
            self.fields.append(field)
        self.hint = label("", "error", wrap=True)
        self.hint.hide()
        grid.addWidget(self.hint, WORDS // _ACROSS + 1, 0, 1, _ACROSS)

    def text(self) -> str:
        """Return the words in order."""
        return " ".join(field.text().strip() for field in self.fields)

    def set_text(self, text: str) -> None:
        """Fill the fields with words, from the first one on."""
        self._spread(0, text.split())

    @property
    def complete(self) -> bool:
        """Whether each field holds a word that can stand there."""
        return all(is_word(field.text(), place) for place, field in enumerate(self.fields))

    def _typed(self, place: int, text: str) -> None:
        words = text.replace(",", " ").split()
        if len(words) > 1:
            self._spread(place, words)
        elif text.endswith(" ") and words:
            self._spread(place, words)
            if place + 1 < WORDS:
                self.fields[place + 1].setFocus()
        self._check(place)
        self.changed.emit()

    def _spread(self, place: int, words: list[str]) -> None:
        for at, word in enumerate(words[: WORDS - place], place):
            self.fields[at].setText(word)
            self._check(at)
        if len(words) > 1:
            self.fields[min(place + len(words), WORDS) - 1].setFocus()
        self.changed.emit()

    def _check(self, place: int) -> None:
        field = self.fields[place]
        word = field.text().strip()
        right = not word or is_word(word, place)
        unfinished = len(word) < len("abcde") and field.hasFocus()
        set_role(field, "code" if right or unfinished else "wrong")
        wrong = [at for at, other in enumerate(self.fields) if other.property("role") == "wrong"]
        self.hint.setVisible(bool(wrong))
        if wrong:
            near = near_words(self.fields[wrong[0]].text(), wrong[0])
            number = wrong[0] + 1
            self.hint.setText(
                tr(
                    "Word {number} is not right. Perhaps: {words}",
                    number=number,
                    words=", ".join(near[:4]),
                )
                if near
                else tr("Word {number} is not right.", number=number)
            )
