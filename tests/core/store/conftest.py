from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lutra.crypto.signing import SigningKey
from lutra.operation import Extensions, Operation, sign_operation
from lutra.store import Store

KEY = bytes(range(32))
GROUP = b"g" * 32
EPOCH = b"e" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lutra.db"


@pytest.fixture
def key() -> bytes:
    return KEY


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store.open(path, KEY) as opened:
        yield opened


MakeLog = Callable[..., list[Operation]]


@pytest.fixture
def make_log() -> MakeLog:
    """Sign a log of ``count`` operations by the device with this seed number."""

    def make(
        count: int,
        *,
        device: int = 1,
        log: bytes = b"d" * 32,
        kind: str = "document",
        epoch: bytes | None = EPOCH,
        body_bytes: int = 100,
    ) -> list[Operation]:
        signing = SigningKey(device.to_bytes(32, "big"))
        operations: list[Operation] = []
        for seq_num in range(count):
            operations.append(
                sign_operation(
                    signing,
                    seq_num=seq_num,
                    backlink=operations[-1].id if operations else None,
                    body=os.urandom(body_bytes) if body_bytes else None,
                    extensions=Extensions(
                        log=log, kind=kind, group=GROUP, epoch=epoch, time=1000 + seq_num
                    ),
                )
            )
        return operations

    return make
