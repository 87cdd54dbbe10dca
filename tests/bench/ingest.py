"""Taking in another device's operations, beside verifying their signatures alone."""

from __future__ import annotations

import time
from functools import partial
from itertools import pairwise

from tests.bench.harness import Row, new_engine, report, scratch, share, type_apart

from lutra.crypto.signing import is_signature
from lutra.node.engine import Engine
from lutra.operation import decode_operation
from lutra.sync.replica import WireOperation

OPERATIONS = 20_000
SLICE = 256


def batched(operations: list[WireOperation]) -> list[list[WireOperation]]:
    return [operations[start : start + SLICE] for start in range(0, len(operations), SLICE)]


def _take_in(
    ben: Engine, group: bytes, part: list[WireOperation], following: list[WireOperation]
) -> None:
    """Take in a slice as sessions do, which know what waits behind it."""
    ben.expect(following)
    ben.ingest(group, part)


def main() -> None:
    """Measure and report."""
    with scratch() as folder:
        ana, ben = new_engine(folder / "ana", "Ana"), new_engine(folder / "ben", "Ben")
        group, _ = ana.run(lambda: ana.create_group("Otters"))
        share(ana, ben, group)
        document, _ = ana.run(lambda: ana.create_document(group, "Page", ""))
        type_apart(ana, document, OPERATIONS)
        operations = ana.operations_of(group, document)
        began = time.perf_counter()
        for part, following in pairwise([*batched(operations), []]):
            ben.run(partial(_take_in, ben, group, part, following))
        seconds = time.perf_counter() - began
        decoded = [decode_operation(item.header, None) for item in operations]
        messages = [
            (item.author, item.header.signed_bytes(), item.header.signature) for item in decoded
        ]
        began = time.perf_counter()
        assert all(is_signature(*message) for message in messages)
        raw = time.perf_counter() - began
        ana.close()
        ben.close()
    rate, limit = len(operations) / seconds, len(operations) / raw
    report(
        [
            Row(
                f"ingest of foreign operations ({SLICE} a transaction)",
                rate,
                "operations/s",
                goal=8000.0,
                higher_is_better=True,
                beside=f"raw Ed25519 verification {limit:.0f}/s, ratio {rate / limit:.2f}",
            )
        ]
    )


if __name__ == "__main__":
    main()
