"""What MLS costs: ours, and ts-mls beside it where Node and its package are at hand.

    python tests/bench/mls_bench.py [--members 10 100 1000] [--suites 3 0xf04d] [--json FILE]

Both sides do the same: key packages are made before the clock starts; the founder adds all others
in one commit, updates itself right after (every parent node is still blank, so every member gets
a secret of its own), another member processes that, one member is added and one removed, and 1,000
messages of 300 bytes go from the founder to that other member. Commits that only add renew no
keys, since the other implementations' do not. Times are milliseconds, each the best of several
runs of one operation from one state.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from lutra.mls import (
    Add,
    CommitOptions,
    Credential,
    Group,
    KeyPackageBundle,
    Lifetime,
    Policy,
    ReceivedApplication,
    Remove,
    Services,
    create_key_package,
    suite_for,
)
from lutra.mls.framing import WireFormat

MESSAGES = 1000
MESSAGE_BYTES = 300
TS_SCRIPT = Path(__file__).with_name("mls_peers_ts.mjs")
TS_SUITES = {1, 2, 3}
GOALS = {"self_update": 150.0, "process_update": 30.0, "encrypt_1000": 300.0, "decrypt_1000": 300.0}
"""Milliseconds at 1,000 members of an X25519 suite."""

T = TypeVar("T")


@dataclass
class Measured:
    """Rows of one run."""

    suite: int
    members: int
    repeats: int
    ms: dict[str, float] = field(default_factory=dict)
    cpu_ms: dict[str, float] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)

    def timed(self, row: str, run: Callable[[], T], repeats: int | None = None) -> T:
        """Run an operation several times from the same state and note the best."""
        best = best_cpu = float("inf")
        for _ in range(repeats or self.repeats):
            start, start_cpu = time.perf_counter(), time.process_time()
            result = run()
            best_cpu = min(best_cpu, time.process_time() - start_cpu)
            best = min(best, time.perf_counter() - start)
        self.ms[row] = round(best * 1000, 3)
        self.cpu_ms[row] = round(best_cpu * 1000, 3)
        return result

    def as_dict(self) -> dict[str, Any]:
        """The form the other implementation's script prints too."""
        return {
            "implementation": "lutra",
            "suite": self.suite,
            "members": self.members,
            "ms": self.ms,
            "cpu_ms": self.cpu_ms,
            "bytes": self.bytes,
        }


def _client(suite: int, name: str, now: int) -> KeyPackageBundle:
    private, _ = suite_for(suite).signatures.generate()
    lifetime = Lifetime(now - 3600, now + 24 * 3600)
    return create_key_package(suite, Credential.basic(name.encode()), private, lifetime=lifetime)


def measure(suite: int, members: int, repeats: int = 3) -> dict[str, Any]:
    """Measure our implementation; returns plain values, see `Measured.as_dict`."""
    run = Measured(suite, members, repeats)
    now = int(time.time())
    policy = Policy(handshake_format=WireFormat.PUBLIC_MESSAGE)
    services = Services(policy=policy)
    clients = [_client(suite, f"member {index}", now) for index in range(members)]
    newcomer = _client(suite, "newcomer", now)
    adds = [Add(client.key_package) for client in clients[1:]]
    without_path = CommitOptions(path=False)

    def create() -> Any:
        return Group.create(clients[0], b"bench", services=services).commit(
            adds, options=without_path
        )

    created = run.timed("create", create)
    receiver_keys = clients[1 + (members - 1) // 2]
    receiver = run.timed(
        "join", lambda: Group.join(created.welcome, receiver_keys, services=services)
    )
    founder = created.group
    updated = run.timed("self_update", founder.commit)
    receiver = run.timed("process_update", lambda: receiver.process(updated.message)).group
    added = run.timed(
        "add_one",
        lambda: updated.group.commit([Add(newcomer.key_package)], options=without_path),
    )
    receiver = run.timed("process_add", lambda: receiver.process(added.message)).group
    removed = run.timed("remove_one", lambda: added.group.commit([Remove(members)]))
    receiver = run.timed("process_remove", lambda: receiver.process(removed.message)).group
    founder = removed.group
    data = b"a" * MESSAGE_BYTES

    def encrypt() -> tuple[Group, list[bytes]]:
        group, messages = founder, []
        for _ in range(MESSAGES):
            sent = group.encrypt(data)
            group = sent.group
            messages.append(sent.message)
        return group, messages

    def decrypt() -> None:
        group = receiver
        for message in sealed:
            received = group.process(message)
            if not isinstance(received, ReceivedApplication) or received.data != data:
                sys.exit("a message did not arrive as it was sent")
            group = received.group

    founder, sealed = run.timed("encrypt_1000", encrypt)
    run.timed("decrypt_1000", decrypt)
    stored = run.timed("store", founder.to_bytes)
    run.timed("resume", lambda: Group.from_bytes(stored, services=services))
    run.bytes = {
        "state": len(stored),
        "state_without_tree": len(founder.to_bytes(with_tree=False)),
        "tree": len(founder.tree.encode()),
        "create_commit": len(created.message),
        "welcome": len(created.welcome),
        "update_commit": len(updated.message),
        "message": len(sealed[0]),
    }
    return run.as_dict()


def measure_ts(suite: int, members: int, repeats: int) -> dict[str, Any] | str:
    """Measure ts-mls; returns its values, or why it could not be run."""
    node = shutil.which("node")
    if node is None:
        return "Node is not installed"
    if not TS_SCRIPT.is_file() or suite not in TS_SUITES:
        return f"ts-mls does not offer suite 0x{suite:04x}"
    command = [node, str(TS_SCRIPT), str(suite), str(members), str(repeats)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        return f"ts-mls did not run: {last[0]}"
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def show(ours: dict[str, Any], theirs: dict[str, Any] | str | None) -> None:
    """Print one size as a table."""
    title = f"suite 0x{ours['suite']:04x}, {ours['members']} members"
    print(f"\n{title}")
    beside: dict[str, Any] = theirs if isinstance(theirs, dict) else {"ms": {}, "bytes": {}}
    if isinstance(theirs, str):
        print(f"  ({theirs})")
    print(
        f"  {'':20} {'lutra':>12} {'(cpu)':>12} {'ts-mls':>12} {'ratio':>7}  goal (processor time)"
    )
    for row, value in ours["ms"].items():
        other = beside["ms"].get(row)
        ratio = "" if other is None else f"{other / value:6.1f}x"
        goal = ""
        if ours["members"] == 1000 and ours["suite"] in {1, 3} and row in GOALS:
            goal = f"<= {GOALS[row]:.0f} ms: {'yes' if ours['cpu_ms'][row] <= GOALS[row] else 'NO'}"
        other_text = "" if other is None else f"{other:9.1f} ms"
        cpu = ours["cpu_ms"][row]
        print(f"  {row:20} {value:9.1f} ms {cpu:9.1f} ms {other_text:>12} {ratio:>7}  {goal}")
    for row, value in ours["bytes"].items():
        other = beside["bytes"].get(row)
        print(f"  {row:20} {value:10d} B {'':12} {'' if other is None else f'{other:10d} B':>12}")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--suites", type=lambda text: int(text, 0), nargs="+", default=[3, 0xF04D])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-peers", action="store_true", help="measure only ours")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    figures: list[dict[str, Any]] = []
    for suite in arguments.suites:
        for members in arguments.members:
            ours = measure(suite, members, arguments.repeats)
            figures.append(ours)
            theirs = None
            if not arguments.no_peers:
                theirs = measure_ts(suite, members, arguments.repeats)
                if isinstance(theirs, dict):
                    figures.append(theirs)
            show(ours, theirs)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
