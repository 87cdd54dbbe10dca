"""Catalogues translate every sentence that goes through `tr`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import PySide6
from PySide6.QtCore import QLocale
from PySide6.QtWidgets import QApplication

from lutra_app import i18n

CATALOGUE = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="de"><context><name>lutra</name>
<message><source>New page</source><translation>Neue Seite</translation></message>
<message><source>{count} devices</source><translation>{count} Geräte</translation></message>
</context></TS>
"""


def test_a_catalogue_of_the_systems_language_is_used(qapp: QApplication, tmp_path: Path) -> None:
    source = tmp_path / "lutra_de.ts"
    source.write_text(CATALOGUE, encoding="utf-8")
    name = "lrelease.exe" if sys.platform == "win32" else "lrelease"
    subprocess.run(
        [Path(PySide6.__file__).parent / name, source, "-qm", tmp_path / "lutra_de.qm"],
        check=True,
        capture_output=True,
    )
    before = QLocale()
    QLocale.setDefault(QLocale(QLocale.Language.German))
    translator = i18n.install(qapp, tmp_path, QLocale())
    assert translator is not None
    try:
        assert i18n.tr("New page") == "Neue Seite"
        assert i18n.plural(3, "{count} device", "{count} devices") == "3 Geräte"
        assert i18n.tr("Not in the catalogue") == "Not in the catalogue"
    finally:
        qapp.removeTranslator(translator)
        QLocale.setDefault(before)
    assert i18n.tr("New page") == "New page"


def test_no_catalogue_means_english(qapp: QApplication, tmp_path: Path) -> None:
    assert i18n.install(qapp, tmp_path, QLocale(QLocale.Language.Finnish)) is None
    assert i18n.plural(1, "{count} device", "{count} devices") == "1 device"
