"""Keeps Python's garbage collector from holding up the window.

A full collection looks at every object there is and stops all threads meanwhile: with Qt's classes,
the node and the library loaded, a tenth of a second on a slow machine. What start-up has made stays
for good, so it is taken out of the collector's sight; what comes later is looked at in small
portions, and as a whole only once in a long while.
"""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

_SETTLED_MS = 3_000
_YOUNG = 10_000
_MIDDLE = 20
_OLD = 100


def spare_the_window(parent: QObject) -> None:
    """Set the collector up, and once more when start-up is over.

    Args:
        parent: lives as long as the program; the timer belongs to it.
    """
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
    settled = QTimer(parent)
    settled.setSingleShot(True)
    settled.timeout.connect(gc.freeze)
    settled.start(_SETTLED_MS)
