"""Pairing by files at the terminal, for devices that never meet."""

from __future__ import annotations

import base64
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from lutra.cli.invocation import Invocation
from lutra.cli.pairing import PairingFailedError
from lutra.cli.question import Question
from lutra.cli.session import Session, pairing_session, session
from lutra.errors import EnvironmentalError, UsageError

_OFFER_LINK = "lutra:pair-file/"
_WAIT_SECONDS = 0.3


class PairingPathError(EnvironmentalError):
    """A pairing file cannot be read or written."""

    code = "pairing.path"


def offer(invocation: Invocation, path: Path | None) -> None:
    """On the existing device: write an offer, or print it as a link if there is no path."""
    if path is None:
        with session(invocation.profile) as node:
            link = node.call("pairing_offer", link=True)["link"]
        text = f"Pass it on unseen: {link}\nThere: lutra device link --offer LINK --request FILE"
        invocation.show({"offer": link}, text)
        return
    with session(invocation.profile) as node, _new_file(path):
        content = node.call("pairing_offer")["content"]
        _write(path, content)
        node.call("pairing_offer_saved", content=content)
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
    invocation: Invocation, profile: Path, device: str, offer: str, request: Path, *, merge: bool
) -> None:
    """On the new device: answer an offer, which is a file or a link.

    Args:
        invocation: how to show results.
        profile: the profile directory; one is created where there is none.
        device: what the device is called then.
        offer: path or link.
        request: the file to write.
        merge: the identity that is here becomes part of the person.
    """
    offered = _offered(offer)
    with _new_file(request), pairing_session(profile, device=device) as node:
        made = node.call("pairing_request", merge=merge, **offered)
        _write(request, made["content"])
    text = f"Bring {request} to the other device: lutra device pair --request FILE --response FILE."
    if made["digits"]:
        text += f"\nThere, compare these digits: {made['digits']}"
    invocation.show({"request": str(request), "digits": made["digits"]}, text)


def take(
    invocation: Invocation, profile: Path, device: str, response: Path, *, yes_same: bool
) -> None:
    """On the new device: use the response; arguments as for `ask`."""
    content = _read(response)
    with pairing_session(profile, device=device) as node:
        digits = node.call("pairing_digits")["digits"]
        _compare(node, digits, "", yes_same=yes_same)
        entered = node.call("pairing_take_response", content=content, same_digits=bool(digits))
    invocation.show(
        entered,
        "This device is one of yours now. Pages follow when it meets another of your devices, or "
        "from a file.",
    )


def _offered(offer: str) -> dict[str, str]:
    link = offer.strip()
    if not link.lower().startswith("lutra:"):
        return {"content": _read(Path(offer))}
    if not link.lower().startswith(_OFFER_LINK):
        raise UsageError(
            "This link is not an offer. An offer is the file that `lutra device pair --offer FILE` "
            f"writes, or the link from `--offer-link`, which begins with {_OFFER_LINK}. The link "
            "of a code goes without --offer: lutra device link LINK."
        )
    return {"link": link}


def _compare(node: Session, digits: str, name: str, *, yes_same: bool) -> None:
    if not digits or yes_same:
        return
    where = f"“{name}” and this device" if name else "both devices"
    question = Question(f"Do {where} show {digits}?")
    # In short waits: on Windows, Ctrl-C is heard between them only.
    while not node.meanwhile(lambda: question.wait(_WAIT_SECONDS)):
        pass
    if not question.answer():
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
    """Bring a file to the disk: some disks say only then that they are full."""
    try:
        with path.open("wb") as file:
            file.write(base64.b64decode(content))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _unwritten(path, error) from None


def _unwritten(path: Path, error: OSError) -> PairingPathError:
    return PairingPathError(f"{path} cannot be written: {error.strerror}.")
