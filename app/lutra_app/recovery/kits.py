"""Recovery kits: the list, making one, testing a sheet of paper, withdrawing one."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QGridLayout, QLineEdit, QVBoxLayout, QWidget

from lutra.node.events import PersonChanged
from lutra.node.new_kit import NewKit
from lutra.node.person_views import KitView
from lutra_app.bridge import Bridge
from lutra_app.i18n import tr
from lutra_app.people.words import when_text
from lutra_app.recovery.sheet import paint_sheet, save_pdf
from lutra_app.recovery.words import WordFields
from lutra_app.shell.flow import Flow
from lutra_app.shell.task import plain, primary
from lutra_app.theme.parts import IconLabel, RowButton, side_by_side
from lutra_app.theme.qr import QrCode
from lutra_app.theme.theme import Theme, mono_font
from lutra_app.theme.tokens import Space, Type
from lutra_app.theme.widgets import label, panel

_ACROSS = 3


class Kits(Flow):
    """The sheet of recovery kits."""

    def __init__(self, bridge: Bridge, theme: Theme, over: QWidget) -> None:
        super().__init__(bridge, theme, over, heading=tr("Recovery kits"), width=520)
        self._listing = False
        self._kits: list[KitView] = []
        self.kit: NewKit | None = None
        self.tested: dict[int, QLineEdit] = {}
        self.words = WordFields()
        self.closed.connect(self._forget)

    def begin(self) -> None:
        """Open with the kits there are."""
        self.show_step(heading=tr("Recovery kits"))
        self.open_task()
        self._look()

    def _forget(self) -> None:
        """Let go of a kit's words as soon as the sheet is closed."""
        self.kit = None
        self.tested = {}
        self.show_step()

    def _look(self) -> None:
        self._listing = True
        self.kit = None
        self.ask(lambda node: node.recovery.list(), self._show)

    def _show(self, kits: list[KitView]) -> None:
        if not self._listing:
            return
        self._kits = kits
        active = [kit for kit in kits if kit.active]
        items: list[QWidget] = [
            label(
                tr(
                    "A recovery kit is a sheet of paper with twelve words. It brings you back if "
                    "all your devices are lost. Whoever has it can act as you, so keep it where "
                    "you keep passports."
                ),
                "muted",
                wrap=True,
            )
        ]
        if not active:
            items.append(
                label(
                    tr("You have none. If you lose all your devices, nobody can bring you back."),
                    "warning",
                    wrap=True,
                )
            )
        items += [self._row(kit) for kit in kits]
        buttons = [primary(tr("Make a kit"), self._make)]
        if active:
            buttons.insert(0, plain(tr("Test a sheet"), self._ask_test))
        self.show_step(*items, heading=tr("Recovery kits"), buttons=buttons)

    def _row(self, kit: KitView) -> QWidget:
        if not kit.active:
            return label(tr("{mark} · withdrawn", mark=kit.mark), "muted")
        row = RowButton(
            kit.mark,
            tr("made {when}", when=when_text(kit.made)),
            picture=IconLabel(self.theme, "lifebuoy", "accent", 22),
            role="choice",
        )
        row.setAccessibleName(tr("Kit {mark}: withdraw …", mark=kit.mark))
        row.clicked.connect(lambda: self._ask_withdrawal(kit))
        return row

    # -- making --------------------------------------------------------------------------

    def _make(self) -> None:
        self._listing = False
        made = f"{date.today():%d %B %Y}"
        self.ask(lambda node: node.recovery.create(made), self._show_words)

    def _show_words(self, kit: NewKit) -> None:
        self.kit = kit
        sheet = kit.sheet
        card = panel("well")
        grid = QGridLayout(card)
        grid.setContentsMargins(Space.L, Space.M, Space.L, Space.M)
        grid.setVerticalSpacing(Space.S)
        for index, word in enumerate(sheet.words):
            item = label(f"{index + 1:2}. {word}", "code")
            item.setFont(mono_font(Type.UI))
            item.setAccessibleName(tr("Word {number}: {word}", number=index + 1, word=word))
            grid.addWidget(item, index // _ACROSS, index % _ACROSS)
        qr = QrCode(132, tr("The same words as a QR code"))
        qr.show_text(sheet.qr)
        row = side_by_side(qr)
        words = QVBoxLayout()
        words.addWidget(label(sheet.mark, "subheading"))
        words.addWidget(
            label(
                tr(
                    "Write the words down or print the sheet. This kit counts only after two of "
                    "them were typed back."
                ),
                "muted",
                wrap=True,
            )
        )
        words.addStretch(1)
        row.addLayout(words, 10)
        self.show_step(
            card,
            row,
            side_by_side(
                plain(tr("Print …"), self._print), plain(tr("Save as PDF …"), self._ask_pdf)
            ),
            heading=tr("Your new recovery kit"),
            buttons=(
                plain(tr("Throw away"), self._look),
                primary(tr("I have the words"), self._ask_words),
            ),
        )

    def _print(self) -> None:
        from PySide6.QtPrintSupport import QPrintDialog, QPrinter

        kit = self.kit
        if kit is None:
            return
        printer = QPrinter(QPrinter.PrinterMode.HighResolution)
        printer.setDocName(tr("Recovery kit {mark}", mark=kit.sheet.mark))
        dialog = QPrintDialog(printer, self)
        if dialog.exec() and not paint_sheet(printer, kit.sheet):
            self.fail(tr("The printer does not take the sheet."))

    def _ask_pdf(self) -> None:
        kit = self.kit
        if kit is None:
            return
        name, _ = QFileDialog.getSaveFileName(
            self,
            tr("Save the sheet"),
            str(Path.home() / f"lutra-kit-{kit.sheet.mark}.pdf"),
            tr("PDF (*.pdf)"),
        )
        if name:
            self.save_pdf(Path(name))

    def save_pdf(self, path: Path) -> None:
        """Write the kit that is shown into a file."""
        kit = self.kit
        if kit is None:
            return
        if not save_pdf(kit.sheet, path):
            self.fail(tr("The file cannot be written there."))
            return
        self.say(
            tr(
                "Saved. Whoever gets this file can act as you: print it, then delete it, also "
                "from the bin."
            ),
            good=True,
        )

    def _ask_words(self) -> None:
        kit = self.kit
        assert kit is not None
        self.tested = {}
        column = QVBoxLayout()
        column.setSpacing(Space.S)
        for place in kit.places:
            field = QLineEdit()
            field.setPlaceholderText(tr("Word {number}", number=place))
            field.setAccessibleName(tr("Word {number}", number=place))
            self.tested[place] = field
            column.addWidget(label(tr("Word {number}", number=place), "section"))
            column.addWidget(field)
        confirm = primary(tr("Make it count"), self._confirm)
        first = next(iter(self.tested.values()))
        for field in self.tested.values():
            field.returnPressed.connect(confirm.click)
        self.show_step(
            label(
                tr("Read two words from your sheet, to be sure that it can be read."),
                "muted",
                wrap=True,
            ),
            column,
            heading=tr("Test the sheet"),
            buttons=(confirm,),
            focus=first,
            back=lambda: self._show_words(kit),
        )

    def _confirm(self) -> None:
        kit = self.kit
        assert kit is not None
        typed = {place: field.text() for place, field in self.tested.items()}
        self.ask(
            lambda node: node.recovery.confirm(kit, typed),
            self._counts,
            busy=tr("Adding the kit …"),
        )

    def _counts(self, view: KitView) -> None:
        self.kit = None
        self.tested = {}
        self.show_step(
            label(
                tr(
                    "{mark} counts from now on. Put the sheet away, and test it once a year.",
                    mark=view.mark,
                ),
                "lead",
                wrap=True,
            ),
            heading=tr("Your recovery kit is ready"),
            buttons=(plain(tr("All kits"), self._look), primary(tr("Done"), self.close_sheet)),
        )

    # -- testing and withdrawing ---------------------------------------------------------

    def _ask_test(self) -> None:
        self._listing = False
        self._ask_kit_words(
            tr("Test a sheet"),
            tr("Type the words of a sheet, to see that it is one of your kits and still valid."),
            primary(tr("Test"), self._test),
        )

    def _test(self) -> None:
        words = self.words.text()
        self.ask(lambda node: node.recovery.test(words), self._passed)

    def _passed(self, kit: KitView) -> None:
        if kit.active:
            self.say(tr("This is {mark}, and it is valid.", mark=kit.mark), good=True)
        else:
            self.fail(tr("This is {mark}, but it was withdrawn.", mark=kit.mark))

    def _ask_withdrawal(self, kit: KitView) -> None:
        self._listing = False
        self._ask_kit_words(
            tr("Withdraw {mark}", mark=kit.mark),
            tr(
                "A withdrawn kit brings nobody back any more. So that a stolen device cannot "
                "withdraw your kits, this takes the words of this kit or of another valid one."
            ),
            plain(tr("Withdraw"), lambda: self._withdraw(kit), "danger"),
        )

    def _withdraw(self, kit: KitView) -> None:
        words = self.words.text()
        self.ask(
            lambda node: node.recovery.withdraw(kit.mark, words),
            lambda _: self._look(),
            busy=tr("Withdrawing …"),
        )

    def _ask_kit_words(self, heading: str, sentence: str, go: QWidget) -> None:
        self.words = WordFields()
        go.setEnabled(False)
        words = self.words
        words.changed.connect(lambda: go.setEnabled(words.complete))
        self.show_step(
            label(sentence, "muted", wrap=True),
            words,
            heading=heading,
            buttons=(go,),  # type: ignore[arg-type]
            focus=words.fields[0],
            back=self._look,
        )

    def happened(self, event: object) -> None:
        """Follow changes of this person's kits."""
        if self._listing and isinstance(event, PersonChanged):
            self._look()
