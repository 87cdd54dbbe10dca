"""Appending to logs: the heads in memory, the sets that sync compares, and signing one's own."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import NamedTuple

from lutra.errors import LocalError
from lutra.groups.contents import Cut
from lutra.log import LogHead, Placement, advance, next_time
from lutra.node.context import Context
from lutra.operation import Extensions, LogKey, Operation, decode_operation, sign_operation
from lutra.store.operations import OperationState
from lutra.sync.heads import HeadSet


class LogFrozenError(LocalError):
    """This device's log was forked, so nothing may be appended to it."""

    code = "log.frozen"


class Placed(NamedTuple):
    """An operation, where it goes, where its log stands then, and what became of its content."""

    operation: Operation
    placement: Placement
    head: LogHead
    state: OperationState


class LogKeeper:
    """All logs of all groups, as the store has them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._heads: dict[bytes, dict[LogKey, LogHead]] = {}
        self._by_log: dict[tuple[bytes, bytes], list[LogKey]] = {}
        self._head_sets: dict[tuple[bytes, bool], HeadSet] = {}
        self._frozen: dict[LogKey, int] | None = None

    def forget(self) -> None:
        """Drop what is in memory, after a transaction was undone."""
        self._heads.clear()
        self._by_log.clear()
        self._head_sets.clear()
        self._frozen = None

    def head(self, group: bytes, key: LogKey) -> LogHead | None:
        """Return where a log of ``group`` stands."""
        return self._load(group).get(key)

    def is_elsewhere(self, group: bytes, key: LogKey) -> bool:
        """Tell whether a log belongs to another group: a log is in one group only."""
        found = self._context.store.logs.group(key)
        return found is not None and found != group

    def head_set(self, group: bytes, control: bool) -> HeadSet:
        """Return the live set of heads that sync compares."""
        self._load(group)
        return self._head_sets[group, control]

    def is_frozen(self, key: LogKey) -> bool:
        """Tell whether a log's author was caught forking it."""
        return key in self._frozen_logs()

    def is_after_fork(self, key: LogKey, seq_num: int) -> bool:
        """Tell whether a place of a log lies at or behind its author's fork."""
        fork = self._frozen_logs().get(key)
        return fork is not None and seq_num >= fork

    def freeze(self, key: LogKey, seq_num: int) -> None:
        """Append nothing to this log from a place on; what lies before may still come in."""
        self._context.store.logs.freeze(key)
        forks = self._frozen_logs()
        forks[key] = min(seq_num, forks.get(key, seq_num))
        if key.log in self._heads:
            self._cut_back(key)

    def forked(self, group: bytes) -> list[tuple[LogKey, int]]:
        """Return a group's forked control logs, and where each was forked."""
        return [(key, place) for key, place in self._frozen_logs().items() if key.log == group]

    def of_log(self, group: bytes, log: bytes) -> list[tuple[LogKey, LogHead]]:
        """Return all devices' logs with one id: a document's, or a group's control logs."""
        heads = self._load(group)
        return [(key, heads[key]) for key in self._by_log.get((group, log), ())]

    def cuts(self, group: bytes, devices: Container[bytes]) -> list[Cut]:
        """Return how far the document logs of devices are held."""
        return [
            Cut(key.author, key.log, head.seq_num)
            for key, head in sorted(self._load(group).items())
            if key.author in devices and key.log != group
        ]

    def append(self, group: bytes, placed: Sequence[Placed]) -> None:
        """Store operations that continue their logs, in order, and move the heads.

        What a prune operation replaces is deleted.
        """
        heads = self._load(group)
        store = self._context.store
        changed: dict[LogKey, LogHead] = {}
        by_state: dict[int, dict[LogKey, list[Operation]]] = {}
        prunes: dict[LogKey, int] = {}
        for operation, placement, head, state in placed:
            key = operation.log_key
            changed[key] = head
            # By its number: an Enum's own hash is computed in Python.
            number = state.value
            logs = by_state.get(number)
            if logs is None:
                logs = by_state[number] = {}
            if placement is Placement.PRUNE:
                prunes[key] = operation.seq_num
                for waiting in by_state.values():
                    waiting.pop(key, None)
            items = logs.get(key)
            if items is None:
                items = logs[key] = []
            items.append(operation)
        for number, logs in by_state.items():
            operations = [item for items in logs.values() for item in items]
            store.operations.insert_many(operations, group=group, state=OperationState(number))
        for key, seq_num in prunes.items():
            store.operations.delete_before(key, seq_num)
        store.logs.set_heads(list(changed.items()), group=group)
        for key, head in changed.items():
            self._remember(group, heads, key, head)
            self._head_sets[group, key.log == group].update(key, head.seq_num, head.id)
            if key.log == group:
                self._cut_back(key)

    def sign_next(
        self,
        group: bytes,
        log: bytes,
        *,
        kind: str,
        body: bytes,
        epoch: bytes | None,
        secret: bytes | None,
        previous: tuple[bytes, ...],
        prune: bool = False,
    ) -> Operation:
        """Sign this device's next operation in a log, and append it.

        Args:
            group: the group.
            log: the document's id, or the group's for a control operation.
            kind: what it is.
            body: the content; encrypted here if ``secret`` is given.
            epoch: id of the epoch the secret belongs to.
            secret: the epoch's data secret, or None for content in the open.
            previous: the control heads known.
            prune: it replaces everything before it in the log.

        Raises:
            LogFrozenError: two histories of this device exist (a copied profile).
            OperationLimitError: the content is too large.
        """
        context = self._context
        key = LogKey(context.device, log)
        if self.is_frozen(key):
            raise LogFrozenError(
                "Two histories of this device exist, probably because its profile was copied. "
                "Set this device up anew to go on writing."
            )
        head = self.head(group, key)
        extensions = Extensions(
            log=log,
            kind=kind,
            group=group,
            epoch=epoch,
            previous=previous,
            time=next_time(head, context.now()),
            prune=prune,
        )
        seq_num = 0 if head is None else head.seq_num + 1
        backlink = None if head is None else head.id
        if secret is not None:
            body = context.cipher.seal(
                secret,
                body,
                author=context.device,
                seq_num=seq_num,
                backlink=backlink,
                extensions=extensions,
            )
        operation = sign_operation(
            context.key, seq_num=seq_num, backlink=backlink, body=body, extensions=extensions
        )
        placement = Placement.PRUNE if prune and head is not None else Placement.APPEND
        after = advance(head, operation, placement)
        self.append(group, [Placed(operation, placement, after, OperationState.APPLIED)])
        context.outbox.publish(group, [operation], None)
        return operation

    def _load(self, group: bytes) -> dict[LogKey, LogHead]:
        heads = self._heads.get(group)
        if heads is not None:
            return heads
        heads = dict[LogKey, LogHead]()
        control: list[tuple[LogKey, int, bytes]] = []
        documents: list[tuple[LogKey, int, bytes]] = []
        for key, head in self._context.store.logs.heads(group):
            self._remember(group, heads, key, head)
            (control if key.log == group else documents).append((key, head.seq_num, head.id))
        self._head_sets[group, True] = HeadSet(control)
        self._head_sets[group, False] = HeadSet(documents)
        self._heads[group] = heads
        for key, _ in self.forked(group):
            self._cut_back(key)
        return heads

    def _cut_back(self, key: LogKey) -> None:
        """Compare a forked control log up to its fork only, where all replicas are alike."""
        place, head = self._frozen_logs().get(key), self._heads[key.log].get(key)
        if place is None or head is None or head.seq_num < place:
            return
        before = self._context.store.operations.id_at(key, place - 1) if place else None
        if before is None:
            self._head_sets[key.log, True].remove(key)
        else:
            self._head_sets[key.log, True].update(key, place - 1, before)

    def _remember(
        self, group: bytes, heads: dict[LogKey, LogHead], key: LogKey, head: LogHead
    ) -> None:
        if key not in heads:
            self._by_log.setdefault((group, key.log), []).append(key)
        heads[key] = head

    def _frozen_logs(self) -> dict[LogKey, int]:
        if self._frozen is None:
            store = self._context.store
            frozen = dict.fromkeys(store.logs.frozen(), 0)
            places: dict[LogKey, int] = {}
            for fork in store.forks.list():
                operation = decode_operation(fork.header, None, check_signature=False)
                seq_num = operation.seq_num
                places[fork.key] = min(seq_num, places.get(fork.key, seq_num))
            self._frozen = {key: places.get(key, place) for key, place in frozen.items()}
        return self._frozen
