"""What members call themselves and the group: encrypted, readable once the epoch's key is held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lutra.errors import DecryptionError, MalformedError
from lutra.groups.cards import Card, Settings, decode_names
from lutra.groups.data_keys import BodyCipher
from lutra.groups.errors import ControlError
from lutra.operation import Operation


@dataclass(frozen=True, slots=True)
class _Unread:
    operation: Operation
    index: int
    depth: int


class Names:
    """Cards of devices and the group's settings."""

    def __init__(self, cipher: BodyCipher) -> None:
        self._cipher = cipher
        self._unread: list[_Unread] = []
        self._cards: dict[bytes, tuple[int, Card, bytes]] = {}
        self._settings: dict[int, tuple[tuple[int, int, bytes], Settings, bytes]] = {}

    def add(self, operation: Operation, index: int, depth: int) -> None:
        """Keep a card or settings operation that has ``depth`` others before it."""
        self._unread.append(_Unread(operation, index, depth))

    def read(self, secrets: Mapping[bytes, bytes]) -> None:
        """Open what can be opened."""
        unread: list[_Unread] = []
        for item in self._unread:
            header = item.operation.header
            secret = secrets.get(header.extensions.epoch or b"")
            if secret is None:
                unread.append(item)
            elif item.operation.body is not None:
                self._open(item, secret)
        self._unread = unread

    def card(self, device: bytes) -> Card:
        """Return a device's card; its fields are empty until one was read."""
        known = self._cards.get(device)
        return Card("", "") if known is None else known[1]

    def card_epoch(self, device: bytes) -> bytes | None:
        """Return the epoch a device's card is encrypted under; None until one was read."""
        known = self._cards.get(device)
        return None if known is None else known[2]

    def group_name(self, live: Sequence[int]) -> str:
        """Return the name that the last of the settings at the given places gives."""
        return self._last(live)[0]

    def name_epoch(self, live: Sequence[int]) -> bytes | None:
        """Return the epoch the group's name is encrypted under; None until it was read."""
        return self._last(live)[1]

    def _last(self, live: Sequence[int]) -> tuple[str, bytes | None]:
        found = [self._settings[index] for index in live if index in self._settings]
        if not found:
            return "", None
        last = max(found, key=lambda item: item[0])
        return last[1].name, last[2]

    def _open(self, item: _Unread, secret: bytes) -> None:
        operation = item.operation
        assert operation.body is not None
        try:
            plaintext = self._cipher.open(secret, operation.header, operation.body)
            content = decode_names(operation.kind, plaintext)
        except (DecryptionError, ControlError, MalformedError):
            return
        author, seq_num = operation.author, operation.seq_num
        epoch = operation.header.extensions.epoch or b""
        if isinstance(content, Settings):
            # Later in the causal order wins; among concurrent ones, a rule nobody gains from.
            self._settings[item.index] = ((item.depth, seq_num, author), content, epoch)
            return
        known = self._cards.get(author)
        if known is None or seq_num > known[0]:
            self._cards[author] = (seq_num, content, epoch)
