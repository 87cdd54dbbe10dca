"""One member of a group, whichever implementation keeps its state."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from interop.peers import PeerProcess

# What core-crypto can export; the others export anything.
EXPORT_LABEL = "exporter"
EXPORT_CONTEXT = b""
EXPORT_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What members of one epoch must agree on; None where an implementation does not tell."""

    epoch: int
    members: frozenset[bytes]
    exporter: bytes
    authenticator: bytes | None
    tree_hash: bytes | None
    leaves: Mapping[bytes, int] | None


@dataclass(frozen=True, slots=True)
class Committed:
    """A commit and the welcome for those it adds."""

    message: bytes
    welcome: bytes | None


@dataclass(frozen=True, slots=True)
class Continued:
    """The Welcome into a group that continues another, and its tree if the Welcome lacks it."""

    welcome: bytes
    tree: bytes | None


class Party(Protocol):
    """Every byte string on the wire is an MLSMessage (RFC 9420 section 6)."""

    name: str
    identity: bytes
    cannot: frozenset[str]

    def key_package(self) -> bytes: ...
    def create(self, group_id: bytes) -> None: ...
    def join(self, welcome: bytes) -> None: ...
    def external_join(self, group_info: bytes, *, resync: bool = False) -> bytes: ...
    def group_info(self) -> bytes: ...
    def propose_add(self, key_package: bytes, *, public: bool) -> bytes: ...
    def propose_remove(self, identity: bytes, *, public: bool) -> bytes: ...
    def propose_update(self, *, public: bool) -> bytes: ...
    def commit(
        self,
        *,
        add: list[bytes] | None = None,
        remove: list[bytes] | None = None,
        psk: list[bytes] | None = None,
        pending: bool = False,
        public: bool = True,
    ) -> Committed: ...
    def process(self, message: bytes) -> bytes | bool:
        """The data of an application message, or whether we are still in after a handshake."""
        ...

    def require_credentials(self) -> bytes:
        """Commit that every member supports basic and X.509 credentials."""
        ...

    def register_psk(self, psk_id: bytes, psk: bytes) -> None: ...
    def key_package_for(self, suite: int) -> bytes: ...
    def branch(self, group_id: bytes, key_packages: list[bytes]) -> Continued: ...
    def reinit(self, group_id: bytes, suite: int) -> bytes: ...
    def reinitialise(self, key_packages: list[bytes]) -> Continued: ...
    def join_continued(self, offer: Continued) -> None: ...
    def encrypt(self, data: bytes) -> bytes: ...
    def snapshot(self) -> Snapshot: ...


class Maker(Protocol):
    """Makes members of one implementation."""

    implementation: str
    suites: tuple[int, ...]
    cannot: frozenset[str]

    def __call__(self, suite: int, name: str) -> Party: ...


def text(data: bytes) -> str:
    return b64encode(data).decode()


def identity_of(name: str) -> bytes:
    """A user and device id of a domain: core-crypto reads no other form of basic credential."""
    number = int.from_bytes(name.encode()[-6:], "big")
    return f"{UUID(int=number)}:{number:x}@lutra.example".encode()


class PeerParty:
    """A member whose state is kept by another implementation's process."""

    _names = count()

    def __init__(self, process: PeerProcess, suite: int, name: str) -> None:
        self._process = process
        # The process outlives a test, so the client's name has to be its own.
        self._client = f"{name}-{next(self._names)}"
        self.name = f"{name} ({process.implementation})"
        self.cannot = process.cannot
        self.identity = identity_of(name)
        self._call("client", suite=suite, identity=text(self.identity))

    def _call(self, op: str, **args: Any) -> dict[str, Any]:
        return self._process.call(op, client=self._client, **args)

    def key_package(self) -> bytes:
        return b64decode(self._call("key_package")["key_package"])

    def create(self, group_id: bytes) -> None:
        self._call("create", group_id=text(group_id))

    def join(self, welcome: bytes) -> None:
        self._call("join", welcome=text(welcome))

    def external_join(self, group_info: bytes, *, resync: bool = False) -> bytes:
        answer = self._call("external_join", group_info=text(group_info), resync=resync)
        return b64decode(answer["message"])

    def group_info(self) -> bytes:
        return b64decode(self._call("group_info")["group_info"])

    def propose_add(self, key_package: bytes, *, public: bool) -> bytes:
        return self._propose(kind="add", key_package=text(key_package), public=public)

    def propose_remove(self, identity: bytes, *, public: bool) -> bytes:
        return self._propose(kind="remove", identity=text(identity), public=public)

    def propose_update(self, *, public: bool) -> bytes:
        return self._propose(kind="update", public=public)

    def _propose(self, **args: Any) -> bytes:
        return b64decode(self._call("propose", **args)["message"])

    def commit(
        self,
        *,
        add: list[bytes] | None = None,
        remove: list[bytes] | None = None,
        psk: list[bytes] | None = None,
        pending: bool = False,
        public: bool = True,
    ) -> Committed:
        answer = self._call(
            "commit",
            add=[text(item) for item in add or ()],
            remove=[text(item) for item in remove or ()],
            psk=[text(item) for item in psk or ()],
            pending=pending,
            public=public,
        )
        welcome = answer["welcome"]
        return Committed(b64decode(answer["message"]), welcome and b64decode(welcome))

    def propose_self(self, group_info: bytes) -> bytes:
        """Ask, from outside, to be added."""
        return b64decode(self._call("propose_self", group_info=text(group_info))["message"])

    def require_credentials(self) -> bytes:
        answer = self._call("commit", requires=["basic", "x509"], public=True)
        return b64decode(answer["message"])

    def process(self, message: bytes) -> bytes | bool:
        answer = self._call("process", message=text(message))
        if answer["kind"] == "application":
            return b64decode(answer["data"])
        return bool(answer["active"])

    def register_psk(self, psk_id: bytes, psk: bytes) -> None:
        self._call("psk", psk_id=text(psk_id), psk=text(psk))

    def key_package_for(self, suite: int) -> bytes:
        return b64decode(self._call("key_package", suite=suite)["key_package"])

    def branch(self, group_id: bytes, key_packages: list[bytes]) -> Continued:
        return self._continued("branch", key_packages, group_id=text(group_id))

    def reinit(self, group_id: bytes, suite: int) -> bytes:
        return b64decode(self._call("reinit", group_id=text(group_id), suite=suite)["message"])

    def reinitialise(self, key_packages: list[bytes]) -> Continued:
        return self._continued("reinitialise", key_packages)

    def _continued(self, op: str, key_packages: list[bytes], **args: Any) -> Continued:
        answer = self._call(op, key_packages=[text(item) for item in key_packages], **args)
        return Continued(b64decode(answer["welcome"]), b64decode(answer["tree"]))

    def join_continued(self, offer: Continued) -> None:
        self._call("join_continued", welcome=text(offer.welcome))

    def encrypt(self, data: bytes) -> bytes:
        return b64decode(self._call("encrypt", data=text(data))["message"])

    def snapshot(self) -> Snapshot:
        answer = self._call(
            "state", label=EXPORT_LABEL, context=text(EXPORT_CONTEXT), length=EXPORT_LENGTH
        )
        authenticator, tree_hash = answer["epoch_authenticator"], answer["tree_hash"]
        members = answer["members"]
        return Snapshot(
            epoch=answer["epoch"],
            members=frozenset(b64decode(member["identity"]) for member in members),
            exporter=b64decode(answer["exporter"]),
            authenticator=authenticator and b64decode(authenticator),
            tree_hash=tree_hash and b64decode(tree_hash),
            leaves={b64decode(member["identity"]): member["leaf"] for member in members}
            if "leaf" in members[0]
            else None,
        )


@dataclass(frozen=True, slots=True)
class PeerMaker:
    """Makes members kept by one running process."""

    process: PeerProcess

    @property
    def implementation(self) -> str:
        return self.process.implementation

    @property
    def suites(self) -> tuple[int, ...]:
        return self.process.suites

    @property
    def cannot(self) -> frozenset[str]:
        return self.process.cannot

    def __call__(self, suite: int, name: str) -> PeerParty:
        return PeerParty(self.process, suite, name)
