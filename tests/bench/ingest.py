"""Taking in another device's operations, beside verifying their signatures alone."""

from __future__ import annotations

import time

from tests.bench.harness import Row, new_engine, report, scratch, share, type_apart

from lutra.crypto.signing import is_signature
from lutra.operation import decode_operation

OPERATIONS = 20_000
SLICE = 256


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
        for start in range(0, len(operations), SLICE):
            part = operations[start : start + SLICE]
            ben.run(lambda part=part: ben.ingest(group, part))
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
