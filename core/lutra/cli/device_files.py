"""Pairing by files at the terminal, for devices that never meet."""

from __future__ import annotations

import base64
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from lutra.cli.invocation import Invocation
from lutra.cli.pairing import PairingFailedError
from lutra.cli.session import Session, session
from lutra.errors import EnvironmentalError, UsageError


class PairingPathError(EnvironmentalError):
    """A pairing file cannot be read or written."""

    code = "pairing.path"


def offer(invocation: Invocation, path: Path | None) -> None:
    """On the existing device: write an offer, or print it as a link if there is no path."""
    with session(invocation.profile) as node:
        made = node.call("pairing_offer", link=path is None)
    if path is None:
        text = f"Pass it on unseen: {made['link']}\n"
        text += "There: lutra device link --offer LINK --request FILE"
        invocation.show({"offer": made["link"]}, text)
        return
    with _new_file(path):
        _write(path, made["content"])
    text = f"Bring {path} to the new device: lutra device link --offer FILE --request FILE"
    invocation.show({"offer": str(path)}, text)


def answer(invocation: Invocation, request: Path, response: Path, *, yes_same: bool) -> None:
    """On the existing device: add the device that asks; again, if the response got lost."""
    with session(invocation.profile) as node:
        content = _read(request)
        asked = node.call("pairing_read_request", content=content)
        with _new_file(response):
            _compare(node, asked["digits"], asked["device_name"], yes_same=yes_same)
            made = node.call("pairing_respond", content=content, same_digits=bool(asked["digits"]))
            _write(response, made["content"])
    text = f"Added “{asked['device_name']}”. Bring {response} to it: lutra device link --response "
    shown = {**asked, "response": str(response)}
    invocation.show(shown, text + "FILE. No other device can open this file.")


def ask(
    invocation: Invocation,
    node: Session,
    *,
    offer: str | None,
    request: Path | None,
    response: Path | None,
    merge: bool,
    yes_same: bool,
) -> None:
    """On the new device: answer an offer, or use the response."""
    if offer is not None:
        assert request is not None
        given: dict[str, Any] = {"merge": merge}
        if offer.strip().lower().startswith("lutra:"):
            given["link"] = offer
        else:
            given["content"] = _read(Path(offer))
        made = node.call("pairing_request", **given)
        with _new_file(request):
            _write(request, made["content"])
        text = f"Bring {request} to the other device: lutra device pair --request FILE --response "
        text += "FILE."
        if made["digits"]:
            text += f"\nThere, compare these digits: {made['digits']}"
        invocation.show({"request": str(request), "digits": made["digits"]}, text)
        return
    assert response is not None
    digits = node.call("pairing_digits")["digits"]
    _compare(node, digits, "", yes_same=yes_same)
    entered = node.call("pairing_take_response", content=_read(response), same_digits=bool(digits))
    invocation.show(
        entered,
        "This device is one of yours now. Pages follow when it meets another of your devices, or "
        "from a file.",
    )


def _compare(node: Session, digits: str, name: str, *, yes_same: bool) -> None:
    if not digits or yes_same:
        return
    where = f"“{name}” and this device" if name else "both devices"
    question = f"Do {where} show {digits}?"
    if not node.meanwhile(lambda: click.confirm(question, err=True)):
        raise PairingFailedError("The digits were not the same. Nothing was added.")


def _read(path: Path) -> str:
    try:
        return base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise PairingPathError(f"{path} cannot be read: {error.strerror}.") from None


@contextmanager
def _new_file(path: Path) -> Generator[None]:
    """Make a file, empty, before what it is for is done: if it cannot be made, nothing is.

    It is gone again if that fails.
    """
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        raise UsageError(f"{path} exists already.") from None
    except OSError as error:
        raise _unwritten(path, error) from None
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _write(path: Path, content: str) -> None:
    try:
        path.write_bytes(base64.b64decode(content))
    except OSError as error:
        raise _unwritten(path, error) from None


def _unwritten(path: Path, error: OSError) -> PairingPathError:
    return PairingPathError(f"{path} cannot be written: {error.strerror}.")
