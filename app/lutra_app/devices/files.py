"""Steps of pairing by files, for devices that never meet: offer, request, response."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog

from lutra.node.device_views import OfferView, RequestView
from lutra_app.i18n import tr
from lutra_app.shell.task import plain, primary
from lutra_app.theme.widgets import label

if TYPE_CHECKING:
    from lutra_app.shell.flow import Flow

_MOST_BYTES = 64 * 1024 * 1024
_OFFER, _REQUEST, _RESPONSE = "lutra-offer", "lutra-request", "lutra-response"


class FileSteps:
    """Steps of a sheet; each file is carried by the person, on a stick or by mail.

    Args:
        flow: the sheet they are shown in.
        new: this device is the new one.
        merge: its identity becomes part of the other person.
        back: shows the step before.
        done: called when this device has become one of the person's.
    """

    def __init__(
        self,
        flow: Flow,
        *,
        new: bool,
        merge: bool,
        back: Callable[[], None],
        done: Callable[[], None],
    ) -> None:
        self._flow, self._new, self._merge = flow, new, merge
        self._back, self._done = back, done

    def begin(self) -> None:
        """Show what is to be done on this side."""
        if self._new:
            self._begin_new()
        else:
            self._begin_existing()

    # -- on the device that belongs to the person ----------------------------------------

    def _begin_existing(self) -> None:
        self._flow.show_step(
            label(
                tr(
                    "Three files travel: an offer from here to the new device, its request back "
                    "here, and the response there. Then it is yours, although both never met."
                ),
                "muted",
                wrap=True,
            ),
            heading=tr("Add a device by files"),
            buttons=(
                plain(tr("I have a request …"), self._open_request),
                primary(tr("Save the offer …"), self._make_offer),
            ),
            back=self._back,
        )

    def _make_offer(self) -> None:
        path = self._ask_save(_OFFER)
        if path is not None:
            self._flow.ask_pairing(
                lambda pairs: pairs.device_files.offer(), lambda made: self._save_offer(path, made)
            )

    def _save_offer(self, path: Path, offer: OfferView) -> None:
        # An earlier offer is valid until this one is safe.
        if self.write(path, offer.content):
            self._flow.ask_pairing(
                lambda pairs: pairs.device_files.offer_saved(offer.content), lambda _: self._saved()
            )

    def _saved(self) -> None:
        self._flow.say(
            tr("Saved. Carry it to the new device, and come back with its request."), good=True
        )

    def _open_request(self) -> None:
        path = self._ask_open(_REQUEST)
        content = self.read(path) if path is not None else None
        if content is not None:
            self.take_request(content)

    def take_request(self, content: bytes) -> None:
        """Show a request, and its digits, before it is answered."""
        self._flow.ask_pairing(
            lambda pairs: pairs.device_files.read_request(content),
            lambda request: self._show_request(request, content),
        )

    def _show_request(self, request: RequestView, content: bytes) -> None:
        name = request.device_name or tr("A device")
        if request.person_name:
            name = tr("{device}, of {name}", device=name, name=request.person_name)
        digits = label(request.digits, "digits")
        digits.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        digits.setAccessibleName(tr("Comparison digits: {digits}", digits=request.digits))
        self._flow.show_step(
            label(tr("{who} wants to become yours.", who=name), "lead", wrap=True),
            digits,
            label(
                tr("The new device shows digits too. Go on only if they are the same."),
                "muted",
                wrap=True,
            ),
            heading=tr("Compare"),
            buttons=(
                plain(tr("Different"), self._begin_existing, "danger"),
                primary(tr("They are the same"), lambda: self._respond(content)),
            ),
            back=self._begin_existing,
        )

    def _respond(self, content: bytes) -> None:
        self._flow.ask_pairing(
            lambda pairs: pairs.device_files.respond(content, same_digits=True), self._responded
        )

    def _responded(self, response: bytes) -> None:
        self._flow.show_step(
            label(
                tr(
                    "The device is yours now. Save the response and carry it there: it holds your "
                    "keys, encrypted for that device only."
                ),
                wrap=True,
            ),
            label(
                tr("If it gets lost, open the same request here again to get the same response."),
                "muted",
                wrap=True,
            ),
            heading=tr("Carry the response"),
            buttons=(
                plain(tr("Done"), self._back),
                primary(tr("Save the response …"), lambda: self._save_response(response)),
            ),
        )

    def _save_response(self, response: bytes) -> None:
        path = self._ask_save(_RESPONSE)
        if path is not None and self.write(path, response):
            self._flow.say(tr("Saved."), good=True)

    # -- on the new device ---------------------------------------------------------------

    def _begin_new(self) -> None:
        self._flow.show_step(
            label(
                tr(
                    "On your other device open “Your devices”, choose “Add a device”, then “By "
                    "files”, and bring the offer here."
                ),
                "muted",
                wrap=True,
            ),
            heading=tr("Pair by files"),
            buttons=(
                plain(tr("I have the response …"), self._open_response),
                primary(tr("Open the offer …"), self._open_offer),
            ),
            back=self._back,
        )

    def _open_offer(self) -> None:
        path = self._ask_open(_OFFER)
        content = self.read(path) if path is not None else None
        if content is not None:
            self.take_offer(content)

    def take_offer(self, content: bytes) -> None:
        """Answer an offer with a request."""
        merge = self._merge
        self._flow.ask_pairing(
            lambda pairs: pairs.device_files.request(content, merge=merge), self._show_made
        )

    def _show_made(self, request: RequestView) -> None:
        digits = label(request.digits, "digits")
        digits.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        digits.setAccessibleName(tr("Comparison digits: {digits}", digits=request.digits))
        self._flow.show_step(
            label(tr("Save the request and carry it to your other device."), "lead", wrap=True),
            digits,
            label(
                tr("It must show these digits there. Then bring its response back here."),
                "muted",
                wrap=True,
            ),
            heading=tr("Carry the request"),
            buttons=(
                plain(tr("Save the request …"), lambda: self._save_request(request)),
                primary(tr("I have the response …"), self._open_response),
            ),
            back=self._begin_new,
        )

    def _save_request(self, request: RequestView) -> None:
        path = self._ask_save(_REQUEST)
        if path is not None and self.write(path, request.content):
            self._flow.say(tr("Saved. Carry it to your other device."), good=True)

    def _open_response(self) -> None:
        path = self._ask_open(_RESPONSE)
        content = self.read(path) if path is not None else None
        if content is not None:
            self.take_response(content)

    def take_response(self, content: bytes) -> None:
        """Become one of the person's devices."""
        self._flow.ask_pairing(
            lambda pairs: pairs.device_files.digits(),
            lambda digits: self._ask_same(digits, content),
        )

    def _ask_same(self, digits: str, content: bytes) -> None:
        shown = label(digits, "digits")
        shown.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        shown.setAccessibleName(tr("Comparison digits: {digits}", digits=digits))
        self._flow.show_step(
            label(tr("Did the other device show these digits?"), "lead", wrap=True),
            shown,
            heading=tr("Compare"),
            buttons=(
                plain(tr("Different"), self._begin_new, "danger"),
                primary(tr("They are the same"), lambda: self._accept(content)),
            ),
            back=self._begin_new,
        )

    def _accept(self, content: bytes) -> None:
        self._flow.ask_pairing(
            lambda pairs: pairs.device_files.accept(content, same_digits=True),
            lambda _: self._done(),
        )

    # -- files ---------------------------------------------------------------------------

    def _ask_save(self, name: str) -> Path | None:
        chosen, _ = QFileDialog.getSaveFileName(
            self._flow, tr("Save"), str(Path.home() / f"{name}.bin")
        )
        return Path(chosen) if chosen else None

    def _ask_open(self, name: str) -> Path | None:
        chosen, _ = QFileDialog.getOpenFileName(
            self._flow, tr("Open"), str(Path.home() / f"{name}.bin")
        )
        return Path(chosen) if chosen else None

    def write(self, path: Path, content: bytes) -> bool:
        """Write a small file; says so where the disk does not take it.

        A file of this name is replaced when the new one is on the disk, and not before.
        """
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            try:
                with temporary.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            self._flow.fail(tr("The file cannot be written: {reason}.", reason=error.strerror))
            return False
        return True

    def read(self, path: Path) -> bytes | None:
        """Read a small file; says so where that does not work."""
        try:
            if path.stat().st_size > _MOST_BYTES:
                self._flow.fail(tr("This file is too large to be one for pairing."))
                return None
            return path.read_bytes()
        except OSError as error:
            self._flow.fail(tr("The file cannot be read: {reason}.", reason=error.strerror))
            return None
