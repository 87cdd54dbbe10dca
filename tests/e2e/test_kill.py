"""kill -9 at random moments of a running replay: nothing confirmed as saved is ever missing."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lutra.cli.demo.cable import LoopbackCable
from lutra.cli.demo.conductor import meet, start_nodes, wait_until
from lutra.cli.demo.process import NodeProcess
from lutra.cli.demo.trace import Script, load_trace
from lutra.cli.demo.typist import Typist

SEED = 20_261_122
_SECONDS = 120.0


@pytest.fixture
def directory() -> Iterator[Path]:
    with TemporaryDirectory(prefix="lutra-") as short:  # socket paths must be short
        yield Path(short)


class Replay:
    """Two nodes in the middle of a replay, either of which can be killed and started again."""

    def __init__(self, script: Script, directory: Path, stack: ExitStack) -> None:
        self._script = script
        self._cable = LoopbackCable()
        stack.callback(self._cable.close)
        self._nodes = start_nodes(directory, self._cable, stack)
        self._stack = stack
        self._document = meet(self._nodes, self._cable)
        self.typists = [self._typist(side) for side in (0, 1)]
        self._peers = [typist.peer for typist in self.typists]
        for side in (0, 1):
            self._begin(side)

    def _typist(self, side: int) -> Typist:
        return Typist(self._nodes[side].profile, self._script, side, self._document)

    def _begin(self, side: int) -> None:
        self.typists[side].begin(self._peers[1 - side])
        self.typists[side].go()

    def kill(self, side: int, saved: int, delay: float) -> int:
        """Kill a side a moment after it has confirmed `saved` edits; what it had confirmed."""
        typist, node = self.typists[side], self._nodes[side]
        typist.wait(lambda t: t.saved >= saved or t.player.done, _SECONDS, "enough is typed")
        fuse = threading.Timer(delay, os.kill, (node.pid, 9))
        fuse.start()
        fuse.join()
        node.kill()
        # An answer that was on its way counts as confirmed: the typist reads it to the end.
        typist.ended(_SECONDS)
        confirmed = typist.saved
        typist.stop()
        return confirmed

    def restart(self, side: int) -> int:
        """Start a side again; how many of its edits it still has."""
        node = NodeProcess(self._nodes[side].profile, self._cable, side)
        self._stack.callback(node.stop)
        self._nodes[side] = node
        typist = self.typists[side] = self._typist(side)
        assert typist.peer == self._peers[side]
        self._begin(side)
        return typist.saved

    def finish(self) -> list[str]:
        """Let both type to the end; what both nodes hold then."""
        for typist in self.typists:
            typist.wait(lambda t: t.player.done, _SECONDS, "everything is typed")
        for side, typist in enumerate(self.typists):
            other = self.typists[1 - side].player.made
            typist.wait(lambda t, n=other: t.player.arrived >= n, _SECONDS, "all edits arrive")
        wait_until(lambda: self._drafts() == [0, 0], "both have put everything into operations")
        texts = [node.call("document", document=self._document)["text"] for node in self._nodes]
        for typist in self.typists:
            typist.stop()
        return texts

    def _drafts(self) -> list[int]:
        return [node.call("status")["drafts"] for node in self._nodes]


def run(script: Script, directory: Path, kills: int) -> None:
    chance = random.Random(SEED)
    moments = sorted(
        (chance.random(), chance.randrange(2), chance.uniform(0, 0.02)) for _ in range(kills)
    )
    with ExitStack() as stack:
        replay = Replay(script, directory, stack)
        lost_nothing = 0
        for share, side, delay in moments:
            target = int(share * 0.98 * script.edits[side])
            confirmed = replay.kill(side, target, delay)
            assert confirmed >= target
            assert replay.restart(side) >= confirmed
            lost_nothing += 1
        assert lost_nothing == kills
        assert replay.finish() == [script.end_content, script.end_content]


@pytest.mark.timeout(600)
def test_kill_9_loses_nothing_that_was_saved(shared: Path, directory: Path) -> None:
    run(load_trace(shared / "traces" / "friendsforever.json.gz"), directory, kills=20)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_kill_9_two_hundred_times(shared: Path, directory: Path) -> None:
    run(load_trace(shared / "traces" / "friendsforever.json.gz"), directory, kills=200)
