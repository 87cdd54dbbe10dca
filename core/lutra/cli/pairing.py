"""Pairing at the terminal: the code, the comparison, how it went, and how far a new device is."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import click

from lutra.cli.invocation import Invocation, to_json
from lutra.cli.question import Question
from lutra.cli.session import Session
from lutra.cli.text import count
from lutra.errors import LocalError, LutraError, UsageError

_ENDS = ("done", "failed", "cancelled")
_WORDS = {
    "connected": "Connected; checking the code …",
    "agreeing": "Accepted here; waiting for the other device …",
    "admitting": "Adding the new device …",
    "delivering": "Added; handing keys over …",
}
_UNDECIDED = ("ready", "connected", "confirming", "introducing", "comparing")
"""Nobody has said here that the digits are the same."""
_MEET_SECONDS = 60
_COPY_SECONDS = 600
_LOOK_SECONDS = 30
_GLANCE_SECONDS = 0.3
"""How often the pairing is looked at while the person is asked about it."""


class PairingFailedError(LocalError):
    """Devices were not paired; the message says why."""

    code = "pairing.failed"


class Pairing:
    """Leads one person through a pairing.

    With `--json`, every step is one line: the pairing as the node shows it, then its result.

    Args:
        node: carries out the verbs.
        invocation: how to show results.
        yes_same: the person has compared the digits already.
        qr: show the link as a QR code.
        merge: the identity on this device becomes part of the person.
    """

    def __init__(
        self,
        node: Session,
        invocation: Invocation,
        *,
        yes_same: bool = False,
        qr: bool = False,
        merge: bool = False,
    ) -> None:
        self._node = node
        self._invocation = invocation
        self._yes_same = yes_same
        self._qr = qr
        self._merge = merge

    def run(self, verb: str, **arguments: object) -> dict[str, Any]:
        """Begin with a verb, or take up what an earlier run left; returns the pairing's end.

        A code that is typed counts for more than one that was typed before.

        Raises:
            PairingFailedError: it failed or was cancelled, or an earlier one is too far to be
                replaced.
        """
        view = self._begin(verb, arguments)
        try:
            view = self._follow(view)
        except (KeyboardInterrupt, click.Abort):
            with contextlib.suppress(LutraError):
                self._node.call("pairing_cancel")
            raise
        if view["state"] != "done":
            raise PairingFailedError(view["sentence"] or "The devices were not paired.")
        other = view["device_name"]
        if view["new"]:
            self._say(f"Paired: this device is one of {view['person_name']}'s now.")
        else:
            self._say(f"Paired: “{other}” is one of your devices now.")
        if view["sentence"]:
            self._say(view["sentence"])
        if view["separate"]:
            groups = count(len(view["separate"]), "group")
            self._say(f"In {groups} this device stays under its earlier identity.")
        return view

    def _begin(self, verb: str, arguments: dict[str, object]) -> dict[str, Any]:
        view = self._node.call("pairing")
        if view is None or view["state"] in _ENDS:
            return self._node.call(verb, **arguments)
        if verb == "pairing_show" or self._node.call("pairing_is_entered", **arguments)["same"]:
            self._say("Taking up the pairing that was begun before.")
            return view
        if view["state"] not in _UNDECIDED:
            raise PairingFailedError(
                "Another pairing was begun before and accepted here already. Run this without a "
                "code to go on with it; there Ctrl-C ends it."
            )
        ended = self._node.call("pairing_cancel")
        self._say(f"Another pairing was begun before. {ended['sentence']} This one begins now.")
        return self._node.call(verb, **arguments)

    def _follow(self, view: dict[str, Any]) -> dict[str, Any]:
        shown = answered = False
        if view["state"] == "ready" and not view["shows"] and not self._invocation.json:
            click.echo(
                "Looking for the other device … Ctrl-C ends it. If that one shows no code any "
                "more, let it show another.",
                err=True,
            )
        while True:
            if self._invocation.json:
                click.echo(to_json(view))
            else:
                shown = shown or self._show(view)
                if view["state"] in _WORDS:
                    self._say(_WORDS[view["state"]])
            if view["state"] in _ENDS:
                return view
            if view["asks"] and not answered:
                answered = True
                view = self._answer(view)
            else:
                view = self._node.call("pairing_wait", revision=view["revision"])

    def _show(self, view: dict[str, Any]) -> bool:
        """Show code or link, once; returns whether there was one."""
        if not view["shows"] or not (view["code"] or view["link"]):
            return False
        if self._qr:
            _print_qr(view["link"])
        self._say(f"Link: {view['link']}" if view["link"] else f"Code: {view['code']}")
        where = " or ".join(view["addresses"])
        self._say(f"Enter it on the other device; where it is not found, with the address {where}")
        return True

    def _answer(self, view: dict[str, Any]) -> dict[str, Any]:
        """Ask whether the digits are the same, until that is decided here or elsewhere."""
        who = f"{view['person_name']}, {view['device_name']}".removeprefix(", ")
        question = f"The other device: {who}. Do both devices show {view['comparison']}?"
        asked = None if self._yes_same else Question(question)
        # Glancing serves a node of this process and a running one alike, and both stay free for
        # the person's answer.
        while asked is not None and not self._node.meanwhile(lambda: asked.wait(_GLANCE_SECONDS)):
            now = self._node.call("pairing")
            if not now["asks"] or now["comparison"] != view["comparison"]:
                asked.leave()
                return now
        try:
            if asked is not None and not asked.answer():
                return self._node.call("pairing_cancel")
            return self._node.call("pairing_accept", merge=self._merge)
        except LutraError:
            # It may have ended while the person was looking: how, is what counts then.
            view = self._node.call("pairing")
            if view["state"] not in _ENDS:
                raise
            return view

    def stay_until_copied(self, view: dict[str, Any]) -> None:
        """Keep a node that was opened for this call online until the new device has been served."""
        if self._node.lasts:
            return
        self._say("Keep this running until the new device says that everything is there.")
        wanted = {"device": view["device"]}
        met = self._node.call("wait_for_device", **wanted, online=True, seconds=_MEET_SECONDS)
        if not met["online"]:
            self._say("The new device has not come yet. Run `lutra run` here to let it copy.")
            return
        self._node.call("wait_for_device", **wanted, online=False, seconds=_COPY_SECONDS)

    def catch_up(self) -> None:
        """Show how far this newly paired device is, until everything is there.

        Raises:
            PairingFailedError: nothing came for half a minute.
        """
        view = self._node.call("catch_up")
        last = time.monotonic()
        while view is not None:
            before = view
            self._progress(view)
            view = self._node.call(
                "catch_up_more",
                groups_ready=before["groups_ready"],
                pages_here=before["pages_here"],
                seconds=_LOOK_SECONDS,
            )
            if view == before and time.monotonic() - last > _LOOK_SECONDS:
                raise PairingFailedError(
                    "This device is paired, but not everything is here yet. Keep Lutra running on "
                    "another of your devices, and run `lutra run` here."
                )
            last = time.monotonic() if view != before else last
        status = self._node.call("status")
        self._invocation.show({"complete": True, **status}, "Everything is here.")

    def _progress(self, view: dict[str, Any]) -> None:
        if self._invocation.json:
            click.echo(to_json(view))
            return
        self._say(
            f"Groups ready: {view['groups_ready']} of {view['groups']}, "
            f"pages: {view['pages_here']} of {view['pages']}"
        )

    def _say(self, sentence: str) -> None:
        if not self._invocation.json:
            click.echo(sentence)


def _print_qr(link: str) -> None:
    try:
        import segno
    except ImportError:
        raise UsageError(
            "QR codes need the package segno: pip install “lutra[desktop]”, or use --link."
        ) from None
    segno.make(link, error="m", micro=False).terminal(compact=True)
