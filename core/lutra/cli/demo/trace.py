"""What the two sides of the demonstration type: a recorded session, or a built-in script.

A recorded session is a list of transactions by several agents. Each names the transactions it
happened after, and its positions count in the text that those transactions make. (Format:
josephg/editing-traces, kind "concurrent".)
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from lutra.errors import MalformedError

_WORDS = ("bank", "ferry", "heron", "holt", "mist", "otter", "reed", "river", "stone", "willow")

Patch = tuple[int, int, str]
"""Position, number of characters to delete, text to insert; in Unicode characters."""


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction of one agent.

    Attributes:
        index: its place in the recording.
        needs: how many single edits of the other agent must have arrived; never decreases.
        patches: the edits.
        after: how many single edits this agent has made after it.
    """

    index: int
    needs: int
    patches: tuple[Patch, ...]
    after: int


@dataclass(frozen=True, slots=True)
class Script:
    """Two agents' steps.

    Attributes:
        name: where it comes from.
        agents: the steps of agent 0 and of agent 1.
        end_content: the text both must end with; None if any equal text will do.
    """

    name: str
    agents: tuple[tuple[Step, ...], tuple[Step, ...]]
    end_content: str | None

    @property
    def steps(self) -> int:
        """Number of transactions."""
        return len(self.agents[0]) + len(self.agents[1])

    @property
    def edits(self) -> tuple[int, int]:
        """Number of single edits (characters put in or taken out) of each agent."""
        first, second = (steps[-1].after if steps else 0 for steps in self.agents)
        return first, second


def load_trace(path: Path) -> Script:
    """Read a recorded session of two agents, gzipped or not.

    Raises:
        MalformedError: it cannot be read, or is not such a recording.
    """
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        recording = cast("dict[str, Any]", json.loads(data))
        if recording["kind"] != "concurrent" or recording["numAgents"] != 2:
            raise MalformedError("The demonstration needs a recording of two people at once.")
        return _script(path.name, recording["txns"], str(recording["endContent"]))
    except (OSError, EOFError, ValueError, KeyError, TypeError, IndexError) as error:
        raise MalformedError(
            f"The recording cannot be read ({type(error).__name__}).", path=str(path)
        ) from error


def _script(name: str, transactions: Sequence[Mapping[str, Any]], end_content: str) -> Script:
    # For every transaction: how many edits of each agent its text contains, itself included.
    known: list[tuple[int, int]] = []
    made = [0, 0]
    agents: tuple[list[Step], list[Step]] = ([], [])
    for index, transaction in enumerate(transactions):
        agent = int(transaction["agent"])
        patches = tuple((int(p[0]), int(p[1]), str(p[2])) for p in transaction["patches"])
        parents = [known[int(parent)] for parent in transaction["parents"]]
        seen = [max((before[side] for before in parents), default=0) for side in (0, 1)]
        if seen[agent] != made[agent]:
            raise MalformedError("In the recording one person types at two places at once.")
        made[agent] += sum(deleted + len(text) for _, deleted, text in patches)
        seen[agent] = made[agent]
        known.append((seen[0], seen[1]))
        agents[agent].append(Step(index, seen[1 - agent], patches, made[agent]))
    return Script(name, (tuple(agents[0]), tuple(agents[1])), end_content)


def built_in_script(words: int = 600, seed: int = 7) -> Script:
    """Return a session of two people who each write words among their own, and correct some.

    The second never waits for the first and the other way round, so that every edit is concurrent
    with many of the other side's; any text will do at the end if both have the same.
    """
    generator = random.Random(seed)  # noqa: S311 - a script, no secret
    agents = [tuple(_typing(generator, words, agent)) for agent in (0, 1)]
    return Script("built-in script", (agents[0], agents[1]), None)


def _typing(generator: random.Random, words: int, agent: int) -> list[Step]:
    """Put words between the words there are, letter by letter; mistype the end of some."""
    steps: list[Step] = []
    lengths: list[int] = []
    made = 0
    for _ in range(words):
        word = generator.choice(_WORDS) + " "
        slot = generator.randint(max(0, len(lengths) - 8), len(lengths))
        place = sum(lengths[:slot])
        lengths.insert(slot, len(word))
        patches: list[Patch] = [(place + i, 0, letter) for i, letter in enumerate(word)]
        if generator.random() < 0.2:
            end = place + len(word)
            patches += [(end - 1, 1, ""), (end - 2, 1, "")]
            patches += [(end - 2, 0, word[-2]), (end - 1, 0, word[-1])]
        for patch in patches:
            made += len(patch[2]) + patch[1]
            steps.append(Step(2 * len(steps) + agent, 0, (patch,), made))
    return steps


def cable_cut(script: Script) -> int:
    """Return after how many transactions the cable is pulled.

    That is near the middle of the recording, where both sides can go on longest alone.
    """
    low, high = script.steps * 2 // 5, script.steps * 3 // 5
    best, found = script.steps // 2, (False, 0)
    for cut in range(low, high, max(1, (high - low) // 400)):
        alone = [_alone(script, agent, cut) for agent in (0, 1)]
        if (min(alone) > 0, sum(alone)) > found:
            best, found = cut, (min(alone) > 0, sum(alone))
    return best


def _alone(script: Script, agent: int, cut: int) -> int:
    """Return how many steps an agent can make with the other's edits up to transaction `cut`."""
    other = [step for step in script.agents[1 - agent] if step.index < cut]
    have = other[-1].after if other else 0
    count = 0
    for step in script.agents[agent]:
        if step.index < cut:
            continue
        if step.needs > have:
            break
        count += 1
    return count
