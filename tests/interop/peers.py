"""Other MLS implementations in a Node process each, spoken to by JSON lines.

`drivers/lines.mjs` has the protocol. The npm packages are installed from the lock file into the
git-ignored `node_modules` beside it the first time they are needed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
DRIVERS = {"ts-mls": "ts_mls.mjs", "core-crypto": "core_crypto.mjs"}
OLDEST_NODE = 20


class PeerError(Exception):
    """The other implementation refused a request."""

    def __init__(self, op: str, kind: str, message: str) -> None:
        super().__init__(f"{op}: {kind}: {message}")
        self.op = op
        self.kind = kind


class PeerUnsupportedError(PeerError):
    """The other implementation's public API has no such operation."""


class PeersMissingError(Exception):
    """Node or the packages cannot be had here; the message says which and why."""


def install() -> None:
    """Have Node and the pinned packages ready; raises PeersMissingError where that fails."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise PeersMissingError(f"no {tool} on this machine")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    major = re.match(r"v(\d+)", version.stdout)
    if major is None or int(major[1]) < OLDEST_NODE:
        raise PeersMissingError(f"Node {version.stdout.strip()} is older than {OLDEST_NODE}")
    lock = (FOLDER / "package-lock.json").read_bytes()
    stamp = FOLDER / "node_modules" / ".installed-for"
    wanted = hashlib.sha256(lock).hexdigest()
    place = hashlib.sha256(str(FOLDER).encode()).hexdigest()[:16]
    # Parallel test processes share one installation.
    with (Path(tempfile.gettempdir()) / f"lutra-interop-{place}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if stamp.is_file() and stamp.read_text() == wanted:
            return
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=FOLDER,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            reason = next((x for x in done.stderr.splitlines() if "npm error" in x), "no reason")
            raise PeersMissingError(f"npm could not install the other implementations: {reason}")
        stamp.write_text(wanted)


class PeerProcess:
    """One running driver; it holds any number of MLS clients, by name."""

    def __init__(self, name: str) -> None:
        self._process = subprocess.Popen(
            ["node", str(FOLDER / "drivers" / DRIVERS[name])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._count = 0
        hello = self.call("hello")
        self.implementation: str = hello["implementation"]
        self.version: str = hello["version"]
        self.suites: tuple[int, ...] = tuple(hello["suites"])
        self.cannot: frozenset[str] = frozenset(hello["cannot"])

    def call(self, op: str, **args: Any) -> dict[str, Any]:
        """Run one operation; byte strings go in and out as base64."""
        self._count += 1
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"id": self._count, "op": op, **args}) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise RuntimeError(f"the driver ended during {op}, code {self._process.wait()}")
        answer = json.loads(line)
        assert answer["id"] == self._count
        if "error" in answer:
            error = answer["error"]
            kind = PeerUnsupportedError if error["type"] == "Unsupported" else PeerError
            raise kind(op, error["type"], error["message"])
        return answer["ok"]

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
