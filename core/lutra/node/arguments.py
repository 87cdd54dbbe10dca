"""Arguments of verbs, checked as they are taken, and ids that may be shortened."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import cast

from lutra.errors import NotFoundError, UsageError
from lutra.node.ids import ID_LETTERS, MIN_PREFIX, parse_id, resolve_id
from lutra.node.node import Node


class Arguments:
    """A verb's named arguments, checked as they are taken."""

    def __init__(self, verb: str, values: Mapping[str, object]) -> None:
        self._verb = verb
        self._values = dict(values)

    def text(self, name: str, default: str | None = None) -> str:
        """Take a text; without a default it must be there.

        Raises:
            UsageError: it is missing, or is no proper text.
        """
        value = self._values.pop(name, default)
        if not isinstance(value, str):
            raise UsageError(f"“{self._verb}” needs the text “{name}”.")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise UsageError(f"“{name}” of “{self._verb}” is not proper Unicode.") from None
        return value

    def optional_text(self, name: str) -> str | None:
        """Take a text, or None if it is not there.

        Raises:
            UsageError: it is no proper text.
        """
        return None if self._values.get(name) is None else self.text(name)

    def number(self, name: str, default: int | None = None) -> int:
        """Take a whole number that is not negative.

        Raises:
            UsageError: it is missing or something else.
        """
        value = self._values.pop(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise UsageError(f"“{self._verb}” needs the number “{name}”, 0 or more.")
        return value

    def optional_texts(self, name: str) -> list[str]:
        """Take a list of texts; none if it is not there.

        Raises:
            UsageError: it is something else.
        """
        value = self._values.pop(name, [])
        items = list(cast("Sequence[object]", value)) if isinstance(value, list | tuple) else [None]
        texts = [item for item in items if isinstance(item, str)]
        if len(texts) != len(items):
            raise UsageError(f"“{name}” of “{self._verb}” must be a list of texts.")
        return texts

    def texts(self, name: str) -> tuple[str, ...]:
        """Take a list of texts; empty if it is not there; raises as `optional_texts`."""
        return tuple(self.optional_texts(name))

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Take a yes or no; ``default`` if it is not there.

        Raises:
            UsageError: it is something else.
        """
        value = self._values.pop(name, default)
        if not isinstance(value, bool):
            raise UsageError(f"“{name}” of “{self._verb}” must be true or false.")
        return value

    def base64(self, name: str) -> bytes:
        """Take bytes written as base64.

        Raises:
            UsageError: they are missing or written wrongly.
        """
        try:
            return base64.b64decode(self.text(name), validate=True)
        except binascii.Error:
            raise UsageError(f"“{name}” of “{self._verb}” is not base64.") from None

    def finish(self) -> None:
        """Refuse arguments nobody has taken.

        Raises:
            UsageError: there are some.
        """
        if self._values:
            name = sorted(self._values)[0]
            raise UsageError(f"“{self._verb}” does not know “{name}”.")


async def group_id(node: Node, text: str) -> bytes:
    """Return the group that an id, or the beginning of one, names.

    Raises:
        UsageError: it is no id, or the beginning of several.
        NotFoundError: there is no such group here.
    """
    if len(text) == ID_LETTERS:
        return parse_id(text)
    return resolve_id(text, [group.id for group in await node.groups()], "group")


async def person_id(node: Node, text: str) -> bytes:
    """Return the person that an id, or the beginning of one, names, or who alone is called so.

    Raises:
        UsageError: it is no id, or several fit.
        NotFoundError: there is no such person here.
    """
    if len(text) == ID_LETTERS:
        return parse_id(text)
    people = await node.people.list()
    called = [view.id for view in people if view.name and view.name == text.strip()]
    if len(called) > 1:
        raise UsageError(f"Several persons are called “{text}”; give the letters of an id.")
    if not called and len(text.strip()) < MIN_PREFIX:
        raise NotFoundError(f"There is nobody “{text}” here; give a name or the letters of an id.")
    return called[0] if called else resolve_id(text, [view.id for view in people], "person")
