"""Documents as plain values for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lutra.documents.document import Document


def to_json(document: Document) -> dict[str, Any]:
    """Return a document as values that ``json.dumps`` takes.

    Returns:
        ``title``, ``text``, ``meta``, ``fields`` and ``body``: a list of stretches of text with
        their attributes, in which block attributes stand on the line feed that ends a line.
    """
    return {
        "title": document.title,
        "meta": document.meta,
        "fields": document.fields,
        "text": document.text,
        "body": [
            {"text": span.text, "attributes": dict(span.attributes)}
            if span.attributes
            else {"text": span.text}
            for span in document.spans()
        ],
    }
