"""Texts people read, in their language.

`tr` finds the translation of an English sentence in the catalogue of the system's language
(``resources/translations/lutra_<language>.qm``); English needs none.
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QCoreApplication, QLocale, QTranslator

_CONTEXT = "lutra"


def tr(text: str, **values: object) -> str:
    """Return `text` in the person's language with ``{name}`` places filled from `values`."""
    return QCoreApplication.translate(_CONTEXT, text).format(**values)


def plural(count: int, one: str, many: str, **values: object) -> str:
    """Return the translated sentence for `count` things; both may hold ``{count}``."""
    return tr(one if count == 1 else many, count=count, **values)


def install(
    application: QCoreApplication, folder: Path, locale: QLocale | None = None
) -> QTranslator | None:
    """Load a language's catalogue, by default the system's; None if there is none."""
    translator = QTranslator(application)
    if not translator.load(locale or QLocale.system(), "lutra", "_", str(folder)):
        return None
    application.installTranslator(translator)
    return translator
