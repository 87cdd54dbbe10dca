"""Encryption of operation bodies under an epoch's data secret (GROUPS §2.6.4).

Each log of each device gets its own key from the epoch's secret; the ciphertext is bound to the
place of the operation in its log and to the control heads its author knew.
"""

from __future__ import annotations

from collections import OrderedDict

from lutra.crypto import aead
from lutra.crypto.kdf import hkdf
from lutra.crypto.random import Random, system_random
from lutra.operation import Extensions, Header

_MAX_CACHED_KEYS = 20_000


class BodyCipher:
    """Seals and opens bodies; remembers derived keys, since a log's operations share one."""

    def __init__(self, random: Random = system_random) -> None:
        self._random = random
        self._keys: OrderedDict[tuple[bytes, bytes, bytes], bytes] = OrderedDict()

    def seal(
        self,
        secret: bytes,
        plaintext: bytes,
        *,
        author: bytes,
        seq_num: int,
        backlink: bytes | None,
        extensions: Extensions,
    ) -> bytes:
        """Encrypt the body of the operation that will stand at ``seq_num`` of the log."""
        key = self._key(secret, extensions, author)
        context = body_context(author, seq_num, backlink, extensions)
        return aead.seal(key, plaintext, context, self._random)

    def open(self, secret: bytes, header: Header, body: bytes) -> bytes:
        """Decrypt an operation's body.

        Raises:
            DecryptionError: the body was not sealed under this secret for this place.
        """
        extensions = header.extensions
        key = self._key(secret, extensions, header.public_key)
        context = body_context(header.public_key, header.seq_num, header.backlink, extensions)
        return aead.unseal(key, body, context)

    def _key(self, secret: bytes, extensions: Extensions, author: bytes) -> bytes:
        place = (extensions.epoch or b"", extensions.log, author)
        key = self._keys.get(place)
        if key is None:
            key = hkdf(secret, b"lutra body v1" + extensions.log + author)
            self._keys[place] = key
            if len(self._keys) > _MAX_CACHED_KEYS:
                self._keys.popitem(last=False)
        return key


def body_context(
    author: bytes, seq_num: int, backlink: bytes | None, extensions: Extensions
) -> bytes:
    """Return everything a body is bound to; each part has a fixed length or comes last."""
    return b"".join(
        (
            b"lutra body v1",
            extensions.group or bytes(32),
            extensions.epoch or bytes(32),
            extensions.log,
            author,
            seq_num.to_bytes(4, "big"),
            backlink or bytes(32),
            b"\x01" if extensions.prune else b"\x00",
            extensions.kind.encode().ljust(32, b"\x00"),
            *extensions.previous,
        )
    )
