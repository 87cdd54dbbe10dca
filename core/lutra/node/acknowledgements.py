"""Which device holds what: signed-in devices say so, and nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lutra.groups.group import Group
from lutra.groups.keys import Member
from lutra.node.context import Context
from lutra.node.log_keeper import LogKeeper
from lutra.node.views import DocumentStatus
from lutra.operation import LogKey


class Acknowledgements:
    """How far each device has said it durably holds each log; kept in memory and in the store."""

    def __init__(self, context: Context, logs: LogKeeper) -> None:
        self._context = context
        self._logs = logs
        self._held: dict[bytes, dict[LogKey, int]] = {}

    def forget(self) -> None:
        """Drop what is in memory, after a transaction was undone."""
        self._held.clear()

    def warm(self, device: bytes) -> None:
        """Load what is known of a device, so that recording more is quick."""
        self._of(device)

    def record(self, device: bytes, group: bytes, heads: Iterable[tuple[LogKey, int]]) -> None:
        """Note that ``device`` holds each log up to the sequence number given."""
        held = self._of(device)
        # A device cannot hold more of a log than exists here, as far as this device can tell.
        news = [
            (key, seq_num)
            for key, seq_num in heads
            if held.get(key, -1) < seq_num
            and self._logs.head(group, key) is not None
            # Of a forked control log the number does not say which operation is meant.
            and not (key.log == group and self._logs.is_after_fork(key, seq_num))
        ]
        if not news:
            return
        self._context.store.acknowledgements.record(device, news)
        held.update(news)
        for key, _ in news:
            if key.log != group:
                self._context.outbox.status_changed(group, key.log)

    def holds(self, device: bytes, key: LogKey, seq_num: int) -> bool:
        """Tell whether a device has said that it holds a log up to a place."""
        return self._of(device).get(key, -1) >= seq_num

    def status(
        self, group: Group, document: bytes, unpublished: bool, online: Sequence[bytes]
    ) -> DocumentStatus:
        """Return where a document's content is."""
        device = self._context.device
        heads = self._logs.of_log(group.id, document)
        others = [item for item in group.members() if item.present and item.device != device]
        lacking: list[Member] = []
        waiting = 0
        for member in others:
            held = self._of(member.device)
            missing = [
                head.seq_num - max(held.get(key, -1), head.first_seq - 1)
                for key, head in heads
                if key.author != member.device and held.get(key, -1) < head.seq_num
            ]
            if missing:
                lacking.append(member)
                waiting = max(waiting, sum(missing))
        return DocumentStatus(
            document=document,
            unpublished=unpublished,
            devices=len(others) + 1,
            holders=len(others) + 1 - (len(others) if unpublished else len(lacking)),
            connected=sum(member.device in online for member in others),
            waiting=waiting + unpublished,
            waiting_for=tuple(
                item.name or item.device_name for item in (others if unpublished else lacking)
            ),
        )

    def _of(self, device: bytes) -> dict[LogKey, int]:
        held = self._held.get(device)
        if held is None:
            held = self._held[device] = self._context.store.acknowledgements.of(device)
        return held
