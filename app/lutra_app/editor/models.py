"""The two texts of a `Replica` as the `Binding` wants them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import cast

from lutra.documents.delta import AttributeValue, Span
from lutra.documents.replica import Replica
from lutra_app.editor.formats import Attributes


class BodyModel:
    """The body of a replica."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def spans(self, start: int, end: int) -> Sequence[Span]:
        """Return the text between two positions with its attributes."""
        return self._replica.body_spans(start, end)

    def length(self) -> int:
        """Return the body's length in UTF-16 units."""
        return self._replica.body_length

    def edit(self, position: int, delete: int, insert: str, attributes: Attributes) -> None:
        """Replace text."""
        self._replica.edit_body(
            position, delete, insert, cast("dict[str, AttributeValue]", attributes)
        )

    def format(self, start: int, end: int, name: str, value: object) -> None:
        """Set (None: remove) one attribute."""
        self._replica.format_body(start, end, name, cast("AttributeValue", value))

    def as_one(self) -> AbstractContextManager[None]:
        """Make the edits of a `with` block one step of undo."""
        return self._replica.undo_as_one()


class TitleModel:
    """The title of a replica: text without attributes."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def spans(self, start: int, end: int) -> Sequence[Span]:
        """Return the title between two positions."""
        units = self._replica.title.encode("utf-16-le")
        return [Span(units[2 * start : 2 * end].decode("utf-16-le", "surrogatepass"))]

    def length(self) -> int:
        """Return the title's length in UTF-16 units."""
        return self._replica.title_length

    def edit(self, position: int, delete: int, insert: str, attributes: Attributes) -> None:
        """Replace text."""
        self._replica.edit_title(position, delete, insert)

    def format(self, start: int, end: int, name: str, value: object) -> None:
        """Titles have no attributes: nothing to set."""

    def as_one(self) -> AbstractContextManager[None]:
        """Make the edits of a `with` block one step of undo."""
        return self._replica.undo_as_one()
