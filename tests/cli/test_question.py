"""Questions as a person, a script and a closed terminal meet them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lutra.cli import question

ASKED = """
import sys, time
from lutra.cli.question import Question, end_process
{before}
asked = Question("Do both show 1?")
{after}
"""
ANSWERED = """
while not asked.wait(0.1): pass
print(asked.answer())
end_process(3)
"""
LEFT = """
time.sleep(0.5)
asked.leave()
print("left", flush=True)
time.sleep(1)
end_process(3)
"""


def asking(
    after: str, before: str = "", streams: str = "", stdin: int = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    program = ASKED.format(before=before, after=after)
    folder = str(Path(question.__file__).parents[2])
    return subprocess.Popen(
        ["sh", "-c", f'exec "$0" "$@" {streams}', sys.executable, "-c", program],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": folder, "PYTHONIOENCODING": "utf-8:strict"},
    )


def test_what_is_no_text_is_no_answer_and_the_question_is_asked_again() -> None:
    process = asking(ANSWERED)
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(b"\xff\xfe\n")
    process.stdin.flush()
    while not process.stderr.readline().endswith(b"Please answer y or n.\n"):
        pass
    out, _ = process.communicate(b"y")
    assert (process.returncode, out) == (3, b"True\n")


def test_what_is_typed_after_a_question_was_left_answers_nothing() -> None:
    process = asking(LEFT)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"left\n"
    process.stdin.write(b"perhaps\n")
    process.stdin.flush()
    process.wait(10)
    _, err = process.communicate()
    assert process.returncode == 3
    assert err == b"Do both show 1? [y/N]: \n"


@pytest.mark.parametrize("streams", [">&-", ">&- 2>&-"])
def test_a_left_question_ends_with_its_status_though_nothing_can_be_said(streams: str) -> None:
    process = asking(LEFT, streams=streams)
    assert process.wait(10) == 3
    process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo terminal")
def test_what_was_typed_before_the_question_does_not_answer_it() -> None:
    outer, inner = os.openpty()
    process = asking(ANSWERED, before="time.sleep(1)", stdin=inner)
    assert process.stderr is not None
    os.write(outer, b"y\n")
    said = b""
    while not said.endswith(b"[y/N]: "):
        said += process.stderr.read(1)
    time.sleep(0.3)
    assert process.poll() is None
    os.write(outer, b"n\n")
    out, _ = process.communicate(timeout=10)
    for end in (outer, inner):
        os.close(end)
    assert (process.returncode, out) == (3, b"False\n")
