"""One answer for all replicas where the question is the same.

Whether a signature fits, and what a commit makes of a public tree, depends on nothing else, and
the results never change; so a simulation of many replicas in one process asks once. Long runs do
without for some of their seeds, to see that this is so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nacl import bindings

from lutra.mls import PublicGroup


@contextmanager
def shared_judgements() -> Iterator[None]:
    """Within, replicas share what they find out about public commits."""
    honest = PublicGroup.process
    known: dict[tuple[bytes, bytes, bytes], Any] = {}

    def process(self: PublicGroup, message: bytes, **options: Any) -> Any:
        key = (self.context.encoded, self.confirmation_tag, message)
        found = known.get(key)
        if found is None:
            found = known[key] = honest(self, message, **options)
        return found

    check = bindings.crypto_sign_open
    fitting: set[tuple[bytes, bytes]] = set()

    def check_once(signed: bytes, key: bytes) -> bytes:
        if (signed, key) not in fitting:
            check(signed, key)
            fitting.add((signed, key))
        return signed[64:]

    PublicGroup.process = process  # type: ignore[method-assign]
    bindings.crypto_sign_open = check_once
    try:
        yield
    finally:
        PublicGroup.process = honest  # type: ignore[method-assign]
        bindings.crypto_sign_open = check
