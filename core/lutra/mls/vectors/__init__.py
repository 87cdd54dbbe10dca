"""Runs the official MLS test vectors (mlswg/mls-implementations, test-vectors.md).

`run_file` takes one JSON file, tells its format by its fields, and runs every case: what others
made is verified, and where the format defines it, the same is made here and verified again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lutra.errors import LutraError
from lutra.mls.suites import SUITES
from lutra.mls.vectors.groups import (
    check_message_protection,
    check_passive_client,
    check_welcome,
)
from lutra.mls.vectors.primitives import (
    check_crypto_basics,
    check_deserialization,
    check_key_schedule,
    check_psk_secret,
    check_secret_tree,
    check_transcript_hashes,
    check_tree_math,
)
from lutra.mls.vectors.reading import Case, VectorMismatch
from lutra.mls.vectors.structures import check_messages
from lutra.mls.vectors.trees import check_tree_operations, check_tree_validation, check_treekem

_FORMATS: tuple[tuple[str, frozenset[str], Callable[[Case], None]], ...] = (
    ("tree-math", frozenset({"n_leaves", "sibling"}), check_tree_math),
    ("crypto-basics", frozenset({"ref_hash", "encrypt_with_label"}), check_crypto_basics),
    ("secret-tree", frozenset({"sender_data", "leaves"}), check_secret_tree),
    ("message-protection", frozenset({"proposal_priv", "commit_priv"}), check_message_protection),
    ("key-schedule", frozenset({"initial_init_secret"}), check_key_schedule),
    ("psk_secret", frozenset({"psk_secret", "psks"}), check_psk_secret),
    ("transcript-hashes", frozenset({"interim_transcript_hash_before"}), check_transcript_hashes),
    ("welcome", frozenset({"signer_pub", "welcome"}), check_welcome),
    ("tree-operations", frozenset({"tree_before", "proposal"}), check_tree_operations),
    ("tree-validation", frozenset({"resolutions", "tree_hashes"}), check_tree_validation),
    ("treekem", frozenset({"leaves_private", "update_paths"}), check_treekem),
    ("messages", frozenset({"mls_welcome", "private_message"}), check_messages),
    ("passive-client", frozenset({"initial_epoch_authenticator"}), check_passive_client),
    ("deserialization", frozenset({"vlbytes_header"}), check_deserialization),
)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How one case went.

    Attributes:
        file: name of the vector file.
        case: its place in the file, from 0.
        suite: cipher suite, where the format has one.
        problem: what failed; ``None`` if the case passed or was skipped.
        skipped: why it was not run; ``None`` otherwise.
    """

    file: str
    case: int
    suite: int | None
    problem: str | None
    skipped: str | None

    @property
    def has_passed(self) -> bool:
        """Whether the case was run and found right."""
        return self.problem is None and self.skipped is None


def checker_for(case: Mapping[str, Any]) -> Callable[[Case], None] | None:
    """Return the check for a case's format, or ``None`` if it is unknown."""
    for _, fields, check in _FORMATS:
        if fields <= case.keys():
            return check
    return None


def run_case(file: str, index: int, case: Mapping[str, Any]) -> CaseResult:
    """Run one case."""
    suite = case.get("cipher_suite")
    if suite is not None and suite not in SUITES:
        return CaseResult(file, index, suite, None, f"cipher suite {suite} is not available")
    check = checker_for(case)
    if check is None:
        return CaseResult(file, index, suite, "the format of this case is unknown", None)
    try:
        check(Case(case))
    except (LutraError, VectorMismatch) as error:
        return CaseResult(file, index, suite, str(error), None)
    return CaseResult(file, index, suite, None, None)


def load_cases(path: Path) -> list[dict[str, Any]]:
    """Read a vector file."""
    cases: list[dict[str, Any]] = json.loads(path.read_text())
    return cases


def run_file(path: Path) -> Iterator[CaseResult]:
    """Run all cases of a vector file, one after the other."""
    for index, case in enumerate(load_cases(path)):
        yield run_case(path.name, index, case)
