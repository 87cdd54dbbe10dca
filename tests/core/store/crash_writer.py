"""Commits one transaction after the other and announces each, until it is killed."""

from __future__ import annotations

import os
import sys
from itertools import count
from pathlib import Path

from lutra.crypto.signing import SigningKey
from lutra.log import LogHead
from lutra.operation import Extensions, LogKey, sign_operation
from lutra.store import DocumentRow, OperationState, Store

DOCUMENT = b"d" * 32
GROUP = b"g" * 32


def main(path: Path, key: bytes) -> None:
    signing = SigningKey(b"s" * 32)
    log = LogKey(signing.public, DOCUMENT)
    with Store.open(path, key) as store:
        store.settings.set("author", signing.public)
        store.documents.upsert(DocumentRow(DOCUMENT, GROUP, "Page", 0, 0))
        head = store.logs.head(log)
        for number in count(0 if head is None else head.seq_num + 1):
            with store.transaction(full_sync=number % 7 == 0):
                operation = sign_operation(
                    signing,
                    seq_num=number,
                    backlink=None if head is None else head.id,
                    body=b"body %d" % number,
                    extensions=Extensions(DOCUMENT, "document", GROUP, b"e" * 32),
                )
                store.operations.insert(operation, group=GROUP, state=OperationState.APPLIED)
                head = LogHead(number, operation.id)
                store.logs.set_head(log, head, group=GROUP)
                store.drafts.add(DOCUMENT, b"draft %d" % number)
                store.documents.append_tail(DOCUMENT, b"update %d" % number)
                store.documents.index(DOCUMENT, "Page", f"text word{number} end")
                if number % 20 == 19:
                    store.documents.set_snapshot(DOCUMENT, b"snapshot", through=number - 5)
                store.settings.set("last", number)
            os.write(1, b"%d\n" % number)


if __name__ == "__main__":
    main(Path(sys.argv[1]), bytes.fromhex(sys.argv[2]))
