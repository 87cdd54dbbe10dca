"""Whoever enters a code too late is told so: it was used, or it has expired (sans-IO).

Only who proves to know the code learns that. To others this looks like a code that still counts: a
share, and for a wrong proof a goodbye, after which nobody is listened to any more. So a code takes
one wrong guess in all: one that a wrong guess has used up is not spoken of, since another proof
would be another guess.
"""

from __future__ import annotations

from lutra.crypto.random import Random, system_random
from lutra.errors import RemoteError
from lutra.identity.pairing import MAX_ATTEMPTS, Step
from lutra.identity.pairing_keys import Channel, Exchange, SessionKeys
from lutra.identity.pairing_memory import Spent
from lutra.identity.pairing_messages import Frame, Sealed, decode_frame, encode_frame
from lutra.identity.pairing_table import Side


class Latecomers:
    """The side that has shown a code which pairs nothing any more; one connection at a time.

    Args:
        spent: the code, and what is to be said of it.
        random: source of randomness.
    """

    def __init__(self, spent: Spent, random: Random = system_random) -> None:
        self._spent = spent
        self._random = random
        self._attempts = spent.attempts
        self._is_burnt = False
        self._channel: Channel | None = None
        self._keys: SessionKeys | None = None

    @property
    def listens(self) -> bool:
        """Somebody may try still."""
        return not self._is_burnt and self._attempts < MAX_ATTEMPTS

    def connect(self, channel: Channel) -> None:
        """Use a new connection instead of the one before."""
        self._channel, self._keys = channel, None

    def receive(self, data: bytes) -> Step:
        """Take in a frame from the connection. A fault of the other side never raises."""
        channel = self._channel
        if channel is None:
            return Step(close=True)
        try:
            kind, fields = decode_frame(data)
            if kind is Frame.BYE:
                self._channel = None
                return Step()
            if kind is Frame.HELLO and self._keys is None and self.listens:
                return self._agree(channel, *fields)
            if kind is Frame.PROOF and self._keys is not None:
                return self._judge(channel, self._keys, fields[0])
        except RemoteError:
            pass
        return self._end(encode_frame(Frame.BYE))

    def _agree(self, channel: Channel, share: bytes, commitment: bytes) -> Step:
        exchange = Exchange(self._spent.secret, Side.SHOWS, channel, self._random)
        self._keys = exchange.finish(share, commitment)
        self._attempts += 1
        return Step((encode_frame(Frame.SHARE, exchange.share),))

    def _judge(self, channel: Channel, keys: SessionKeys, proof: bytes) -> Step:
        if not keys.is_proven(Side.ENTERS, proof):
            self._is_burnt = self._spent.secret.is_short
            return self._end(encode_frame(Frame.BYE))
        told = [Sealed.SPENT.value, self._spent.why.value]
        sealed = keys.seal(Side.SHOWS, Side.SHOWS, channel, told, self._random)
        answer = encode_frame(Frame.ANSWER, keys.proof(Side.SHOWS))
        return self._end(answer, encode_frame(Frame.SEALED, sealed))

    def _end(self, *frames: bytes) -> Step:
        self._channel = None
        return Step(frames, close=True)

    def __repr__(self) -> str:
        return f"Latecomers({self._spent.why.name})"
