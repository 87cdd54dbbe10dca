"""Two windows edit at random; each document equals its replica at every step, all converge."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PySide6.QtCore import Qt

from app.editing import Editor, snapshot_of
from lutra_app.editor.pieces import normal_pieces
from lutra_app.theme.theme import Theme

K, M = Qt.Key, Qt.KeyboardModifier
START = "Hello world\nsecond line\n😀 emoji\nשלום\n"

typed = st.sampled_from(
    ["a", "b ", "# ", "- ", "[] ", "1. ", "**x**", "`c` ", "```", "> ", "xyz", "😀", "é", "א"]
)
pressed = st.sampled_from(
    [
        (K.Key_Return, M.NoModifier),
        (K.Key_Return, M.ShiftModifier),
        (K.Key_Backspace, M.NoModifier),
        (K.Key_Backspace, M.ControlModifier),
        (K.Key_Delete, M.NoModifier),
        (K.Key_Tab, M.NoModifier),
        (K.Key_Backtab, M.NoModifier),
        (K.Key_B, M.ControlModifier),
        (K.Key_I, M.ControlModifier),
        (K.Key_7, M.ControlModifier | M.ShiftModifier),
        (K.Key_8, M.ControlModifier | M.ShiftModifier),
        (K.Key_9, M.ControlModifier | M.ShiftModifier),
        (K.Key_1, M.ControlModifier | M.AltModifier),
        (K.Key_0, M.ControlModifier | M.AltModifier),
        (K.Key_Z, M.ControlModifier),
        (K.Key_Z, M.ControlModifier | M.ShiftModifier),
    ]
)
html = st.sampled_from(["<b>bold</b> x", "<ul><li>a<li>b</ul>", "<h1>T</h1>"])
place = st.integers(0, 60)
step = st.one_of(
    st.tuples(st.just("type"), typed),
    st.tuples(st.just("press"), pressed),
    st.tuples(st.just("caret"), place),
    st.tuples(st.just("select"), st.tuples(place, place)),
    st.tuples(st.just("paste"), html),
    st.tuples(st.just("compose"), st.sampled_from(["にほん", "ni", "한"])),
    st.tuples(st.just("commit"), st.sampled_from(["日本", "二", "한글", "😀"])),
    st.tuples(st.just("receive"), st.none()),
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(st.tuples(st.integers(0, 1), step), max_size=50))
def test_random_editing(theme: Theme, steps: list[tuple[int, tuple[str, object]]]) -> None:
    snapshot = snapshot_of(START)
    editors = [Editor(theme, device=device * 32, snapshot=snapshot) for device in (b"a", b"b")]
    waiting: list[list[bytes]] = [[], []]

    def send(who: int) -> None:
        update = editors[who].replica.take_updates()
        if update is not None:
            waiting[1 - who].append(update)

    for who, (action, value) in steps:
        editor = editors[who]
        match action, value:
            case "type", str(text):
                editor.type(text)
            case "press", (key, modifiers):
                editor.key(key, modifiers)
            case "caret", int(position):
                editor.put_caret(position)
            case "select", (anchor, position):
                editor.put_caret(anchor, position)
            case "paste", str(pasted):
                editor.paste(html=pasted)
            case "compose", str(preedit):
                editor.compose(preedit)
            case "commit", str(word):
                editor.commit(word)
            case _:
                updates, waiting[who] = waiting[who], []
                editor.receive(updates)
        editor.clock.now += 0.1
        editor.check()
        send(who)
    for who, editor in enumerate(editors):
        editor.commit("")
        send(who)
    for editor, updates in zip(editors, waiting, strict=True):
        editor.receive(updates)
        editor.check()
        editor.close()
    first, second = (normal_pieces(editor.replica.body_spans()) for editor in editors)
    assert first == second
