"""Replaying a recorded session through signing, encryption and storage, beside bare Loro."""

from __future__ import annotations

import time

from tests.bench.harness import Row, load_trace, new_engine, raw_replay, report, scratch

from lutra.documents.document import Document

BATCH = 2000
"""Edits that share one durable operation: what piles up while the last one is written."""


def main() -> None:
    """Measure and report."""
    patches, end = load_trace("automerge-paper")
    raw, doc = raw_replay(patches)
    assert doc.get_text("body").to_string() == end
    with scratch() as folder:
        engine = new_engine(folder / "ana")
        group, _ = engine.run(lambda: engine.create_group("Otters"))
        document, _ = engine.run(lambda: engine.create_document(group, "Paper", ""))
        began = time.perf_counter()
        for start in range(0, len(patches), BATCH):
            part = patches[start : start + BATCH]

            def step(part: list[tuple[int, int, str]] = part) -> None:
                def change(content: Document) -> None:
                    splice = content.splice
                    for position, removed, inserted in part:
                        splice(position, removed, inserted)

                engine.edit(document, change)
                engine.publish(document)

            engine.run(step)
        seconds = time.perf_counter() - began
        text, _ = engine.run(lambda: engine.queries.text(document))
        assert text == end
        engine.close()
    raw = min(raw, raw_replay(patches)[0])
    report(
        [
            Row(
                f"replay automerge-paper ({len(patches)} edits, {BATCH} an operation)",
                seconds / raw,
                "× raw Loro",
                goal=3.0,
                beside=f"{seconds:.2f} s, raw Loro {raw:.2f} s",
            )
        ]
    )


if __name__ == "__main__":
    main()
