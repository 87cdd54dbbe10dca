"""The course of the demonstration: two nodes, one page, a cable that is pulled and plugged in."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lutra.cli.demo.cable import Cable
from lutra.cli.demo.process import NodeProcess
from lutra.cli.demo.trace import Script, cable_cut
from lutra.cli.demo.typist import DemoError, Typist
from lutra.cli.own import create_profile
from lutra.store.custody import FileCustody

PEOPLE = (("Ana Ferreira", "laptop"), ("Ben Okafor", "desk"))
GROUP_NAME = "River watch"
PAGE_TITLE = "Otter sightings"
_SECONDS = 60.0
_REPLAY_SECONDS = 600.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class StoreState:
    """What one side holds at the end.

    Attributes:
        name: the person.
        operations: signed operations held.
        devices, holders: devices of the group, and how many hold everything of the page.
        database_bytes: size of the database files.
        matches: its text is exactly what it must be.
        characters: length of its text.
    """

    name: str
    operations: int
    devices: int
    holders: int
    database_bytes: int
    matches: bool
    characters: int


@dataclass(frozen=True, slots=True)
class Report:
    """What the demonstration has shown; times in seconds.

    Attributes:
        script: what was typed.
        network: over what.
        transactions: steps of the recording.
        edits: single edits (characters put in or taken out).
        typed_apart: single edits made while the cable was pulled.
        apart: how long the cable was pulled.
        noticed: until both nodes had noticed that.
        converged: from plugging it in until both had everything the other had typed.
        replay: duration of all typing, the time apart included.
        last_edit: from the last edit's being saved until the other side had it.
        wire_bytes: bytes on the wire, of everything.
        equal: both texts are the same and, if the recording says so, the recorded one.
        stores: both sides at the end.
    """

    script: str
    network: str
    transactions: int
    edits: int
    typed_apart: int
    apart: float
    noticed: float
    converged: float
    replay: float
    last_edit: float
    wire_bytes: int
    equal: bool
    stores: tuple[StoreState, StoreState]


def perform(
    script: Script,
    cable: Cable,
    directory: Path,
    say: Callable[[str], None],
    *,
    windows: bool = False,
) -> Report:
    """Run the demonstration.

    Args:
        script: what the two sides type.
        cable: connects them.
        directory: where their profiles go.
        say: told what happens, in sentences.
        windows: show both windows; it then ends when one is closed.

    Raises:
        DemoError: a node did not get where it should in time.
        LutraError: a subclass says what else went wrong.
    """
    with ExitStack() as stack:
        say(f"Network: {cable.name}.")
        nodes = start_nodes(directory, cable, stack)
        document = meet(nodes, cable)
        if windows:
            _open_windows(nodes, cable, stack)
        say(f"{PEOPLE[0][0]} invited {PEOPLE[1][0]}; both have the page “{PAGE_TITLE}”.")
        with typing(nodes, script, document) as typists:
            course = _Course(script, cable, nodes, typists, say)
            started = time.monotonic()
            course.first_half(cable_cut(script))
            pulled = time.monotonic()
            typed_apart, noticed = course.apart()
            apart = time.monotonic() - pulled
            converged = course.together()
            last_edit = course.second_half()
            replay = time.monotonic() - started
            say(f"All typed after {_seconds(replay)}.")
        pages = _settled(nodes, document)
        statuses = [node.call("status") for node in nodes]
        wire_bytes = cable.bytes_carried()
        if windows:
            say("Both windows stay open until one is closed.")
            wait_until(lambda: not all(node.running for node in nodes), "a window is closed", None)
        # Ended nodes leave their databases as large as they stay.
        for node in nodes:
            node.stop()
        wanted = pages[0]["text"] if script.end_content is None else script.end_content
        first, second = (
            _state(node, status, page, wanted)
            for node, status, page in zip(nodes, statuses, pages, strict=True)
        )
        return Report(
            script=script.name,
            network=cable.name,
            transactions=script.steps,
            edits=sum(script.edits),
            typed_apart=typed_apart,
            apart=apart,
            noticed=noticed,
            converged=converged,
            replay=replay,
            last_edit=last_edit,
            wire_bytes=wire_bytes,
            equal=first.matches and second.matches,
            stores=(first, second),
        )


def start_nodes(directory: Path, cable: Cable, stack: ExitStack) -> list[NodeProcess]:
    """Create two profiles and start their nodes; the stack stops them."""
    nodes: list[NodeProcess] = []
    for side, (name, device) in enumerate(PEOPLE):
        profile = directory / name.split()[0].lower()
        create_profile(profile, name, device, custody=FileCustody(profile))
        node = NodeProcess(profile, cable, side)
        stack.callback(node.stop)
        nodes.append(node)
    return nodes


def meet(nodes: list[NodeProcess], cable: Cable) -> str:
    """Let side 1 join a group of side 0, and make a page in it; returns the page's id."""
    first, second = nodes
    group = first.call("create_group", name=GROUP_NAME)["id"]
    code = first.call("invite", group=group)["code"]
    second.call("join", code=code, address=cable.invite_address)
    document = first.call("create_document", group=group, title=PAGE_TITLE)["id"]
    wait_until(
        lambda: any(
            page["id"] == document and page["title"] == PAGE_TITLE
            for page in second.call("documents")
        ),
        "the second device has the page",
    )
    return document


def _open_windows(nodes: list[NodeProcess], cable: Cable, stack: ExitStack) -> None:
    """Put nodes with a window in the place of those without; they open the page there is."""
    for side, node in enumerate(nodes):
        node.stop()
        nodes[side] = NodeProcess(node.profile, cable, side, window=True)
        stack.callback(nodes[side].stop)


@contextmanager
def typing(nodes: list[NodeProcess], script: Script, document: str) -> Generator[list[Typist]]:
    """Open the page on both sides, ready to type."""
    typists = [Typist(node.profile, script, agent, document) for agent, node in enumerate(nodes)]
    try:
        for agent, typist in enumerate(typists):
            typist.begin(typists[1 - agent].peer)
        yield typists
    finally:
        for typist in typists:
            typist.stop()


@dataclass(slots=True)
class _Course:
    """The typing, act by act; each leaves behind what the next and the report need."""

    script: Script
    cable: Cable
    nodes: list[NodeProcess]
    typists: list[Typist]
    say: Callable[[str], None]

    def first_half(self, cut: int) -> None:
        """Type up to the cut while connected."""
        started = time.monotonic()
        for typist in self.typists:
            typist.go(cut)
        for typist in self.typists:
            typist.wait(lambda t: _typed_until(t, cut), _REPLAY_SECONDS, "the first half is typed")
        self._wait_for_each_other()
        took = _seconds(time.monotonic() - started)
        self.say(f"{self._made()} edits in {took}. Pulling the cable.")

    def apart(self) -> tuple[int, float]:
        """Pull the cable and type on; returns the edits typed, and until it was noticed."""
        before = self._made()
        pulled = time.monotonic()
        self.cable.pull()
        for typist in self.typists:
            typist.go()
        wait_until(
            lambda: all(node.call("status")["connected"] == 0 for node in self.nodes),
            "both sides notice that the cable is pulled",
        )
        noticed = time.monotonic() - pulled
        for typist in self.typists:
            typist.wait(Typist.resting, _SECONDS, "both sides have typed what they can alone")
        typed = self._made() - before
        self.say(f"Both noticed after {_seconds(noticed)}; {typed} edits were typed apart.")
        return typed, noticed

    def together(self) -> float:
        """Plug the cable in; returns until each has what the other had typed."""
        plugged = time.monotonic()
        typed = [typist.player.made for typist in self.typists]
        self.cable.plug()
        for side, typist in enumerate(self.typists):
            typist.wait(
                lambda t, n=typed[1 - side]: t.player.arrived >= n, _SECONDS, "both meet again"
            )
        took = time.monotonic() - plugged
        self.say(f"Plugged in; both have everything again after {_seconds(took)}.")
        return took

    def second_half(self) -> float:
        """Type the rest; returns from the last edit's being saved until it had arrived."""
        for typist in self.typists:
            typist.wait(
                lambda t: t.player.done and t.saved == t.player.made,
                _REPLAY_SECONDS,
                "everything is typed",
            )
        saved = time.monotonic()
        self._wait_for_each_other()
        return time.monotonic() - saved

    def _made(self) -> int:
        return sum(typist.player.made for typist in self.typists)

    def _wait_for_each_other(self) -> None:
        for side, typist in enumerate(self.typists):
            other = self.typists[1 - side].player.made
            typist.wait(lambda t, n=other: t.player.arrived >= n, _SECONDS, "all edits arrive")


def _typed_until(typist: Typist, cut: int) -> bool:
    following = typist.player.next_index
    return (following is None or following >= cut) and typist.saved == typist.player.made


def _settled(nodes: list[NodeProcess], document: str) -> list[dict[str, Any]]:
    """Wait until each side knows that the other holds everything; the page as both have it."""
    pages: list[dict[str, Any]] = []

    def settled() -> bool:
        pages[:] = [node.call("document", document=document) for node in nodes]
        return all(page["status"]["holders"] == page["status"]["devices"] for page in pages)

    wait_until(settled, "both sides know that the other holds everything")
    return pages


def _state(
    node: NodeProcess, status: dict[str, Any], page: dict[str, Any], wanted: str
) -> StoreState:
    return StoreState(
        name=status["identity"]["name"],
        operations=status["operations"],
        devices=page["status"]["devices"],
        holders=page["status"]["holders"],
        database_bytes=sum(file.stat().st_size for file in node.profile.glob("lutra.db*")),
        matches=page["text"] == wanted,
        characters=len(page["text"]),
    )


def wait_until(reached: Callable[[], bool], what: str, seconds: float | None = _SECONDS) -> None:
    """Ask again and again until `reached()`.

    Args:
        reached: what is asked.
        what: what is waited for, for the error's sentence.
        seconds: how long at most; None means for ever.

    Raises:
        DemoError: it took longer.
    """
    started = time.monotonic()
    while not reached():
        if seconds is not None and time.monotonic() > started + seconds:
            raise DemoError(f"Waited {seconds:.0f} seconds in vain until {what}.")
        time.sleep(_POLL_SECONDS)


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"
