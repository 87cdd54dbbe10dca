"""A display that cannot be used: one sentence and exit status 1, where Qt alone would abort."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lutra_app.display import no_window

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")


def start(
    profile: Path, environment: dict[str, str], code: str = ""
) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in DISPLAYS}
    what = ["-c", code] if code else ["-m", "lutra.cli", "app", "--profile", str(profile)]
    return subprocess.run(
        [sys.executable, *what],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="there is always a display")
@pytest.mark.parametrize(
    ("environment", "advice"),
    [
        ({"DISPLAY": ":77"}, "(“:77”), because it cannot be reached: start Lutra on"),
        ({"DISPLAY": ":77", "QT_QPA_PLATFORM": "nonsense"}, "“nonsense”"),
        ({"QT_QPA_PLATFORM": "nonsense"}, "unset it"),
    ],
)
def test_no_window_is_explained(tmp_path: Path, environment: dict[str, str], advice: str) -> None:
    ended = start(tmp_path / "profile", environment)
    assert ended.returncode == 1
    assert ended.stderr.startswith("No window can be opened on this display")
    assert ended.stderr.count("\n") == 1
    assert advice in ended.stderr
    assert ended.stdout == ""
    assert not (tmp_path / "profile").exists()


def test_a_missing_library_is_explained() -> None:
    said = ['qt.qpa.plugin: Could not load the Qt platform plugin "xcb" in ""']
    assert "libxcb-cursor0" in no_window(said, {"DISPLAY": ":0"})


def test_what_qt_says_while_it_starts_is_passed_on(tmp_path: Path) -> None:
    code = (
        "from lutra_app.display import explained\n"
        "from PySide6.QtCore import qWarning\n"
        "with explained(): qWarning('a word')\n"
        "qWarning('another')\n"
    )
    ended = start(tmp_path, {"QT_QPA_PLATFORM": "offscreen"}, code)
    assert ended.returncode == 0
    assert ended.stderr.splitlines() == ["a word", "another"]
