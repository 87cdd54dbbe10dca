"""Two channels in memory, and what tests do with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lutra.crypto.signing import SigningKey
from lutra.net.channel import Channel, Event

ALICE = SigningKey(b"a" * 32)
BOB = SigningKey(b"b" * 32)
MALLORY = SigningKey(b"m" * 32)

Wire = Callable[[bytes], Iterable[bytes]]


def whole(data: bytes) -> list[bytes]:
    return [data]


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


@dataclass
class Pair:
    """Channels joined by wires that may change or cut what they carry; see `pump`."""

    initiator: Channel
    responder: Channel
    to_responder: Wire = whole
    to_initiator: Wire = whole
    initiator_events: list[Event] = field(default_factory=list)
    responder_events: list[Event] = field(default_factory=list)

    def pump(self) -> None:
        """Carry bytes until neither side has any left."""
        while True:
            forth, back = self.initiator.data_to_send(), self.responder.data_to_send()
            if not forth and not back:
                return
            for part in self.to_responder(forth) if forth else ():
                self.responder_events += self.responder.receive_data(part)
            for part in self.to_initiator(back) if back else ():
                self.initiator_events += self.initiator.receive_data(part)


def make_pair(
    *,
    initiator_key: SigningKey = ALICE,
    responder_key: SigningKey = BOB,
    expected_device: bytes | None = None,
    initiator_admits: Callable[[bytes], bool] = lambda _: True,
    responder_admits: Callable[[bytes], bool] = lambda _: True,
    to_responder: Wire = whole,
    to_initiator: Wire = whole,
) -> Pair:
    return Pair(
        Channel(
            initiator_key,
            initiator=True,
            expected_device=expected_device,
            admit=initiator_admits,
        ),
        Channel(responder_key, initiator=False, admit=responder_admits),
        to_responder,
        to_initiator,
    )


def open_pair() -> Pair:
    pair = make_pair()
    pair.pump()
    assert pair.initiator.is_open
    assert pair.responder.is_open
    pair.initiator_events.clear()
    pair.responder_events.clear()
    return pair
