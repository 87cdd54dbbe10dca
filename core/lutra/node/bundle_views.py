"""What is told about bundles: frozen values for windows and the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class BundleProgress:
    """How far a bundle has come.

    Attributes:
        phase: ``writing`` (counts operations), ``checking`` or ``reading`` (count blocks).
        done: how many.
        total: of how many, as far as is known.
    """

    phase: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class BundleView:
    """A bundle that was written.

    Attributes:
        path: the file.
        size: its bytes.
        groups: ids of the groups in it.
        operations: how many operations are in it.
        kits: how many recovery kits open it.
    """

    path: Path
    size: int
    groups: tuple[bytes, ...]
    operations: int
    kits: int


@dataclass(frozen=True, slots=True)
class GroupImport:
    """What a bundle brought to one group.

    Attributes:
        group: its id.
        name: its name; empty while unknown.
        new: operations that were not here.
        known: operations that were.
        refused: operations that break a rule, or whose author may not write them.
        pages: pages that were not here.
    """

    group: bytes
    name: str
    new: int
    known: int
    refused: int
    pages: int


@dataclass(frozen=True, slots=True)
class ImportView:
    """What a bundle brought.

    Attributes:
        groups: group by group; the person's own devices' group counts, but is not listed.
        new: operations that were not here.
        known: operations that were.
        refused: operations that were not taken.
        pages: pages that were not here.
    """

    groups: tuple[GroupImport, ...]
    new: int
    known: int
    refused: int
    pages: int
