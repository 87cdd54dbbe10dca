"""A group of members of several implementations, delivering every message to everybody.

After every epoch all members must agree on number, roster, exporter and, where they tell,
epoch authenticator and tree hash.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from interop.peers import PeerError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from interop.party import Maker, Party, Snapshot


@dataclass(slots=True)
class Pending:
    """Proposals sent and not yet committed, and who must not commit them."""

    removed: set[str] = field(default_factory=set)
    added: list[Party] = field(default_factory=list)
    authors: set[str] = field(default_factory=set)
    updaters: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.removed or self.added or self.updaters)


class Room:
    """The members of one group, in no particular order."""

    def __init__(self, suite: int, creator: Party, group_id: bytes, *, public: bool = True) -> None:
        self.suite = suite
        self.members = [creator]
        self.pending = Pending()
        self.prefer_public = public
        self.last_committer: Party | None = None
        self.excused = 0
        creator.create(group_id)

    @property
    def public(self) -> bool:
        """Whether handshakes go as PublicMessage: some implementations take no others."""
        return self.prefer_public or any("private-handshake" in m.cannot for m in self.members)

    def others(self, *known: Party) -> list[Party]:
        return [member for member in self.members if member not in known]

    def agree(self) -> Snapshot:
        """The one snapshot everybody has."""
        first, *rest = [(member, member.snapshot()) for member in self.members]
        assert first[1].members == {member.identity for member in self.members}, first[0].name
        for member, other in rest:
            assert other.epoch == first[1].epoch, member.name
            assert other.members == first[1].members, member.name
            assert other.exporter == first[1].exporter, member.name
        for told in ("authenticator", "tree_hash"):
            values = {getattr(snapshot, told) for _, snapshot in (first, *rest)} - {None}
            assert len(values) <= 1, told
        return first[1]

    def _arrived(
        self,
        committer: Party,
        commit: bytes,
        gone: Sequence[Party] = (),
        *,
        replaced: bool = False,
    ) -> None:
        """Everybody but the committer takes a commit; those removed learn that they are out."""
        for member in self.others(committer):
            if member in gone and replaced and "notice-replacement" in member.cannot:
                with suppress(PeerError):
                    assert member.process(commit) is False
                continue
            still_in = member.process(commit)
            assert still_in is (member not in gone), member.name
        self.members = self.others(*gone)
        self.pending = Pending()
        self.last_committer = committer

    def change(
        self, committer: Party, add: Sequence[Party] = (), remove: Sequence[Party] = ()
    ) -> None:
        """Add and remove members in one commit; with neither, the committer's own update."""
        made = committer.commit(
            add=[newcomer.key_package() for newcomer in add],
            remove=[member.identity for member in remove],
            public=self.public,
        )
        self._arrived(committer, made.message, remove, replaced=bool(add))
        self._welcome(committer, made.welcome, add)
        self.agree()

    def _welcome(self, committer: Party, welcome: bytes | None, newcomers: Sequence[Party]) -> None:
        """The newcomers join; those whose implementation cannot are removed again."""
        if not newcomers:
            return
        assert welcome is not None
        outside: list[Party] = []
        for newcomer in newcomers:
            try:
                newcomer.join(welcome)
            except PeerError as error:
                self._excuse(newcomer, error)
                outside.append(newcomer)
            else:
                self.members.append(newcomer)
        if outside:
            made = committer.commit(
                remove=[newcomer.identity for newcomer in outside], public=self.public
            )
            self._arrived(committer, made.message)

    def _excuse(self, newcomer: Party, error: PeerError) -> None:
        """Let pass what the newcomer's implementation is known to get wrong, nothing else."""
        if "unmerged-leaves" not in newcomer.cannot or "unmerged_leaves" not in str(error):
            raise error
        self.excused += 1

    def enter(self, newcomer: Party, through: Party) -> None:
        """An external commit by somebody who has only the GroupInfo."""
        try:
            commit = newcomer.external_join(through.group_info())
        except PeerError as error:
            self._excuse(newcomer, error)
            return
        self._arrived(newcomer, commit)
        self.members.append(newcomer)
        self.agree()

    def _disagree_on(self, ability: str) -> bool:
        """Whether some members get a thing wrong, which they would do in harmony by themselves."""
        return len({ability in member.cannot for member in self.members}) > 1

    def _leaves(self) -> dict[bytes, int]:
        told = (member.snapshot().leaves for member in self.members)
        return dict(next(leaves for leaves in told if leaves is not None))

    def may_resync(self, member: Party) -> bool:
        """Whether everybody here gets a resync of this member right."""
        if not self._disagree_on("resync-elsewhere"):
            return True
        # No blank leaf to the left: the new leaf takes the place of the old one.
        leaves = self._leaves()
        own = leaves[member.identity]
        return sum(leaf < own for leaf in leaves.values()) == own

    def may_remove(self, members: Sequence[Party]) -> bool:
        """Whether everybody here gets the commits right that follow these removals."""
        if not self._disagree_on("blank-half"):
            return True
        gone = {member.identity for member in members}
        gone |= {m.identity for m in self.members if m.name in self.pending.removed}
        left = [leaf for identity, leaf in self._leaves().items() if identity not in gone]
        half = 1 << (max(left).bit_length() - 1) if max(left) else 0
        return min(left) < half or half == 0

    def resync(self, member: Party, through: Party) -> None:
        """An external commit that replaces the member's own leaf."""
        try:
            commit = member.external_join(through.group_info(), resync=True)
        except PeerError as error:
            self._excuse(member, error)
            return
        self._arrived(member, commit)
        self.agree()

    def say(self, sender: Party, *texts: bytes, order: Sequence[int] | None = None) -> None:
        """Application messages to all others, arriving in the order given."""
        sealed = [sender.encrypt(data) for data in texts]
        for receiver in self.others(sender):
            for index in order if order is not None else range(len(texts)):
                assert receiver.process(sealed[index]) == texts[index], receiver.name

    def propose_add(self, author: Party, newcomer: Party) -> None:
        self._spread(author, author.propose_add(newcomer.key_package(), public=self.public))
        self.pending.added.append(newcomer)

    def propose_remove(self, author: Party, member: Party) -> None:
        self._spread(author, author.propose_remove(member.identity, public=self.public))
        self.pending.removed.add(member.name)

    def propose_update(self, author: Party) -> None:
        self._spread(author, author.propose_update(public=self.public))
        self.pending.updaters.add(author.name)

    def _spread(self, author: Party, proposal: bytes) -> None:
        for member in self.others(author):
            assert member.process(proposal) is True
        self.pending.authors.add(author.name)

    def may_commit(self, member: Party) -> bool:
        return member.name not in self.pending.removed | self.pending.updaters

    def commit_pending(self, committer: Party) -> None:
        """Commit, by reference, everything proposed in this epoch."""
        assert self.may_commit(committer)
        gone = [member for member in self.members if member.name in self.pending.removed]
        newcomers = self.pending.added
        made = committer.commit(pending=True, public=self.public)
        self._arrived(committer, made.message, gone, replaced=bool(newcomers))
        self._welcome(committer, made.welcome, newcomers)
        self.agree()


class RandomPlay:
    """Random actions by random members, the same for the same generator."""

    LARGEST = 6

    def __init__(self, room: Room, makers: Sequence[Maker], rng: Random) -> None:
        self.room = room
        self.makers = makers
        self.rng = rng
        self.done: dict[str, int] = {}
        self._names = count(1)

    def newcomer(self) -> Party:
        maker = self.rng.choice(list(self.makers))
        return maker(self.room.suite, f"n{next(self._names)}")

    def run(self, actions: int) -> None:
        for _ in range(actions):
            choices = [action for action, possible in self._table() if possible]
            action = self.rng.choice(choices)
            getattr(self, f"_{action}")()
            self.done[action] = self.done.get(action, 0) + 1

    def _table(self) -> list[tuple[str, bool]]:
        room, size = self.room, len(self.room.members)
        pending = bool(room.pending)
        calm = not pending
        return [
            *[("add", calm and size < self.LARGEST)] * 3,
            *[("remove", calm and size > 2)] * 2,
            *[("replace", calm and size > 3 and bool(self._mixers()))],
            *[("update", calm)] * 4,
            *[("enter", bool(self._doors()) and size < self.LARGEST)],
            *[("resync", bool(self._resyncers()))],
            *[("propose", size > 1 and bool(self._proposers()))] * 2,
            *[("commit_pending", pending and bool(self._committers()))] * 4,
            # RFC 9420 section 12.4: what is proposed is committed before data is sent.
            *[("say", calm and size > 1)] * 4,
            ("swap", calm and size > 1),
        ]

    def _mixers(self) -> list[Party]:
        return [m for m in self.room.members if "mixed-commit" not in m.cannot]

    def _doors(self) -> list[Party]:
        return [
            m
            for m in self.room.members
            if "group-info-without-commit" not in m.cannot or m is self.room.last_committer
        ]

    def _resyncers(self) -> list[tuple[Party, Party]]:
        return [
            (member, door)
            for member in self.room.members
            for door in self._doors()
            if door is not member and self.room.may_resync(member)
        ]

    def _proposers(self) -> list[tuple[Party, str]]:
        pending = self.room.pending
        fresh = [m for m in self.room.members if m.name not in pending.authors]
        return [
            (m, kind)
            for m in fresh
            for kind in ("add", "remove", "update")
            if f"{kind}-proposal" not in m.cannot
        ]

    def _committers(self) -> list[Party]:
        return [m for m in self.room.members if self.room.may_commit(m)]

    def _add(self) -> None:
        committer = self.rng.choice(self.room.members)
        room_for = self.LARGEST - len(self.room.members)
        self.room.change(
            committer, add=[self.newcomer() for _ in range(self.rng.randint(1, min(3, room_for)))]
        )

    def _remove(self) -> None:
        committer = self.rng.choice(self.room.members)
        others = self.room.others(committer)
        gone = self.rng.sample(others, self.rng.randint(1, min(2, len(others) - 1)))
        if self.room.may_remove(gone):
            self.room.change(committer, remove=gone)

    def _replace(self) -> None:
        committer = self.rng.choice(self._mixers())
        gone = self.rng.choice(self.room.others(committer))
        if self.room.may_remove([gone]):
            self.room.change(committer, add=[self.newcomer()], remove=[gone])

    def _update(self) -> None:
        self.room.change(self.rng.choice(self.room.members))

    def _enter(self) -> None:
        self.room.enter(self.newcomer(), self.rng.choice(self._doors()))

    def _resync(self) -> None:
        self.room.resync(*self.rng.choice(self._resyncers()))

    def _propose(self) -> None:
        author, kind = self.rng.choice(self._proposers())
        room, pending = self.room, self.room.pending
        if kind == "add" and len(room.members) + len(pending.added) < self.LARGEST:
            room.propose_add(author, self.newcomer())
            return
        # Somebody who may commit has to stay, and nobody who updates may be removed.
        spoken_for = pending.removed | pending.updaters
        if len(room.members) - len(spoken_for) <= 2:
            return
        if kind == "update":
            if author.name not in pending.removed:
                room.propose_update(author)
            return
        victims = [
            m for m in room.others(author) if m.name not in spoken_for and room.may_remove([m])
        ]
        if victims:
            room.propose_remove(author, self.rng.choice(victims))

    def _commit_pending(self) -> None:
        self.room.commit_pending(self.rng.choice(self._committers()))

    def _say(self) -> None:
        sender = self.rng.choice(self.room.members)
        self.room.say(sender, self.rng.randbytes(self.rng.randrange(600)))

    def _swap(self) -> None:
        strict = any("reorder-far" in member.cannot for member in self.room.members)
        texts = [self.rng.randbytes(20) for _ in range(2 if strict else 5)]
        order = self.rng.sample(range(len(texts)), len(texts))
        self.room.say(self.rng.choice(self.room.members), *texts, order=order)
