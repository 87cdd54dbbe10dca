"""What can be wrong with a document, an edit or an update."""

from __future__ import annotations

from lutra.errors import EnvironmentalError, LocalError, RemoteError


class EditRangeError(LocalError):
    """An edit names positions outside the text, or text that is not valid Unicode."""

    code = "documents.range"


class DocumentStateError(EnvironmentalError):
    """A stored snapshot or update of this device cannot be read back."""

    code = "documents.state"


class ForeignPeerError(RemoteError):
    """An update carries edits under a peer id that its author does not own."""

    code = "documents.foreign-peer"


class CounterGapError(RemoteError):
    """An update leaves out edits of its author that must come before it."""

    code = "documents.counter-gap"


class DamagedUpdateError(RemoteError):
    """An update cannot be read, or claims values no honest editor produces.

    If `Document.broken` is set afterwards, the library lost its footing while applying it: drop
    that document object and load it again from what is stored.
    """

    code = "documents.damaged-update"
