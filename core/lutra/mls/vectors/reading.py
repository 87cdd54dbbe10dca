"""Access to the fields of a vector case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lutra.mls.suites import CipherSuite, suite_for


class VectorMismatch(Exception):
    """A computed value differs from the one in a vector, or a made one does not verify."""


def expect(is_right: bool, what: str) -> None:
    """Fail the case unless ``is_right``."""
    if not is_right:
        raise VectorMismatch(f"{what} is wrong")


class Case:
    """One JSON object of a vector file; byte strings are hexadecimal in there."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def has(self, name: str) -> bool:
        """Tell whether a field is there and not null."""
        return self._fields.get(name) is not None

    def data(self, name: str) -> bytes:
        """Return a byte string."""
        return bytes.fromhex(self._fields[name])

    def number(self, name: str) -> int:
        """Return a number."""
        return int(self._fields[name])

    def text(self, name: str) -> bytes:
        """Return a string as UTF-8."""
        return str(self._fields[name]).encode()

    def values(self, name: str) -> list[Any]:
        """Return a list as it is."""
        return self._fields[name]

    def data_list(self, name: str) -> list[bytes | None]:
        """Return a list of byte strings, nulls included."""
        return [None if value is None else bytes.fromhex(value) for value in self.values(name)]

    def part(self, name: str) -> Case:
        """Return a nested object."""
        return Case(self._fields[name])

    def parts(self, name: str) -> list[Case]:
        """Return a list of nested objects."""
        return [Case(entry) for entry in self._fields[name]]

    @property
    def suite(self) -> CipherSuite:
        """The case's cipher suite."""
        return suite_for(self.number("cipher_suite"))
