"""The Qt style sheet, generated from the tokens: the only style sheet of the application.

Widgets choose a look by the dynamic property ``role`` (see `lutra_app.theme.widgets`), never by a
style sheet of their own.
"""

from __future__ import annotations

from lutra_app.theme.tokens import Colors, Radius, Space, Type


def stylesheet(c: Colors) -> str:
    """Return the complete style sheet for one set of colours."""
    return "".join((_base(c), _text(c), _buttons(c), _fields(c), _surfaces(c), _lists(c)))


def _base(c: Colors) -> str:
    return f"""
* {{ font-size: {Type.UI}px; color: {c.text}; outline: none; }}
QWidget {{ background: transparent; selection-background-color: {c.selection};
  selection-color: {c.text}; }}
QMainWindow, QDialog {{ background: {c.page}; }}
QToolTip {{ background: {c.text}; color: {c.page}; border: none; border-radius: {Radius.S}px;
  padding: {Space.XS}px {Space.S}px; font-size: {Type.CAPTION}px; }}
QScrollArea, QAbstractScrollArea {{ border: none; }}
QScrollBar:vertical {{ background: transparent; width: 10px; margin: 0; }}
QScrollBar::handle:vertical {{ background: {c.pressed}; border-radius: 3px; min-height: 36px;
  margin: 2px 2px; }}
QScrollBar::handle:vertical:hover {{ background: {c.control_line}; }}
QScrollBar:horizontal {{ background: transparent; height: 10px; margin: 0; }}
QScrollBar::handle:horizontal {{ background: {c.pressed}; border-radius: 3px; min-width: 36px;
  margin: 2px 2px; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
QMenu {{ background: {c.raised}; border: 1px solid {c.line}; border-radius: {Radius.M}px;
  padding: {Space.XS}px; }}
QMenu::item {{ padding: {Space.S}px {Space.L}px; border-radius: {Radius.S}px; }}
QMenu::item:selected {{ background: {c.hover}; }}
QMenu::item:disabled {{ color: {c.muted}; }}
QMenu::separator {{ height: 1px; background: {c.line}; margin: {Space.XS}px {Space.S}px; }}
"""


def _text(c: Colors) -> str:
    return f"""
QLabel[role="display"] {{ font-size: {Type.TITLE}px; font-weight: 600; }}
QLabel[role="heading"] {{ font-size: {Type.H2}px; font-weight: 600; }}
QLabel[role="subheading"] {{ font-size: {Type.LEAD}px; font-weight: 600; }}
QLabel[role="lead"] {{ font-size: {Type.LEAD}px; color: {c.muted}; }}
QLabel[role="muted"] {{ color: {c.muted}; font-size: {Type.SMALL}px; }}
QLabel[role="section"] {{ color: {c.muted}; font-size: {Type.CAPTION}px; font-weight: 600; }}
QLabel[role="state"] {{ color: {c.muted}; font-size: {Type.CAPTION}px; }}
QLabel[role="error"] {{ color: {c.danger}; font-size: {Type.SMALL}px; }}
QLabel[role="warning"] {{ color: {c.warning}; font-size: {Type.SMALL}px; }}
QLabel[role="code-large"] {{ font-size: {Type.H3}px; }}
QLabel[role="code"] {{ font-size: {Type.UI}px; }}
QLabel[role="digits"] {{ font-size: {Type.H1}px; font-weight: 600; }}
QLabel[role="good"] {{ color: {c.good}; font-size: {Type.SMALL}px; }}
"""


def _buttons(c: Colors) -> str:
    return f"""
QPushButton {{ border-radius: {Radius.M}px; padding: {Space.S}px {Space.L}px; min-height: 20px;
  font-weight: 500; border: 1px solid {c.control_line}; background: {c.raised}; }}
QPushButton:hover {{ background: {c.hover}; }}
QPushButton:pressed {{ background: {c.pressed}; }}
QPushButton:focus {{ border: 2px solid {c.focus}; padding: {Space.S - 1}px {Space.L - 1}px; }}
QPushButton:disabled {{ color: {c.muted}; background: {c.sunken}; border-color: {c.line}; }}
QPushButton[role="primary"] {{ background: {c.accent}; color: {c.on_accent};
  border: 1px solid {c.accent}; }}
QPushButton[role="primary"]:hover {{ background: {c.accent_hover};
  border-color: {c.accent_hover}; }}
QPushButton[role="primary"]:focus {{ border: 2px solid {c.text};
  padding: {Space.S - 1}px {Space.L - 1}px; }}
QPushButton[role="primary"]:disabled {{ background: {c.pressed}; color: {c.muted};
  border-color: {c.pressed}; }}
QPushButton[role="quiet"] {{ background: transparent; border: 1px solid transparent;
  color: {c.muted}; text-align: left; padding: {Space.XS + 2}px {Space.S}px; font-weight: 500; }}
QPushButton[role="quiet"]:hover {{ background: {c.hover}; color: {c.text}; }}
QPushButton[role="quiet"]:focus {{ border-color: {c.focus}; }}
QPushButton[role="link"] {{ background: transparent; border: none; color: {c.accent};
  padding: {Space.XS}px 0; text-align: left; }}
QPushButton[role="link"]:hover, QPushButton[role="link"]:focus {{ text-decoration: underline; }}
QPushButton[role="danger"] {{ color: {c.danger}; border: 1px solid {c.danger}; }}
QPushButton[role="danger"]:hover {{ background: {c.danger_soft}; }}
QPushButton[role="danger"]:focus {{ border: 2px solid {c.danger};
  padding: {Space.S - 1}px {Space.L - 1}px; }}
QPushButton[role="row"] {{ background: transparent; border: 1px solid transparent;
  padding: 0; font-weight: 400; }}
QPushButton[role="row"]:hover {{ background: {c.hover}; }}
QPushButton[role="row"]:focus {{ border: 1px solid {c.focus}; padding: 0; }}
QPushButton[role="choice"] {{ background: transparent; border: 1px solid {c.control_line};
  padding: 0;
  font-weight: 400; }}
QPushButton[role="choice"]:hover {{ background: {c.hover}; }}
QPushButton[role="choice"]:checked {{ background: {c.accent_soft}; border: 1px solid {c.accent}; }}
QPushButton[role="choice"]:focus {{ border: 2px solid {c.focus}; padding: 0; }}
QPushButton[role="search"] {{ background: {c.page}; border: 1px solid {c.line}; color: {c.muted};
  text-align: left; padding: {Space.XS + 2}px {Space.S}px; font-weight: 400;
  font-size: {Type.SMALL}px; }}
QPushButton[role="search"]:hover, QPushButton[role="search"]:focus {{
  border-color: {c.control_line}; color: {c.text}; }}
QToolButton {{ border: 1px solid transparent; border-radius: {Radius.M}px; padding: 5px;
  color: {c.muted}; }}
QToolButton:hover {{ background: {c.hover}; color: {c.text}; }}
QToolButton:pressed {{ background: {c.pressed}; }}
QToolButton:checked {{ background: {c.pressed}; color: {c.text}; }}
QToolButton:focus {{ border-color: {c.focus}; }}
QToolButton[role="tab"] {{ padding: {Space.XS}px {Space.S}px; font-size: {Type.SMALL}px;
  font-weight: 500; }}
QToolButton[role="segment"] {{ padding: {Space.XS}px {Space.S}px; font-size: {Type.SMALL}px;
  border: 1px solid {c.control_line}; min-height: 22px; }}
QToolButton[role="segment"]:checked {{ background: {c.accent_soft}; color: {c.text};
  border: 1px solid {c.accent}; }}
QToolButton[role="segment"]:focus {{ border: 2px solid {c.focus}; }}
QToolButton[role="tab"]:checked {{ background: {c.accent_soft}; color: {c.text}; }}
"""


def _fields(c: Colors) -> str:
    return f"""
QLineEdit {{ background: {c.page}; border: 1px solid {c.control_line};
  border-radius: {Radius.M}px; padding: {Space.S}px {Space.M}px; min-height: 22px; }}
QLineEdit, QTextEdit {{ placeholder-text-color: {c.muted}; }}
QLineEdit:focus {{ border: 2px solid {c.focus}; padding: {Space.S - 1}px {Space.M - 1}px; }}
QLineEdit:disabled {{ color: {c.muted}; background: {c.sunken}; }}
QLineEdit[role="large"] {{ font-size: {Type.H3}px; padding: {Space.M}px {Space.L}px; }}
QLineEdit[role="large"]:focus {{ padding: {Space.M - 1}px {Space.L - 1}px; }}
QLineEdit[role="palette"] {{ border: none; background: transparent; font-size: {Type.LEAD}px;
  padding: {Space.L}px; }}
QLineEdit[role="code"] {{ font-size: {Type.SMALL}px; }}
QLineEdit[role="code"], QLineEdit[role="wrong"] {{ padding: {Space.XS}px {Space.S}px; }}
QLineEdit[role="wrong"] {{ font-size: {Type.SMALL}px; border: 2px solid {c.danger}; }}
QTextEdit, QPlainTextEdit {{ border: none; background: transparent; }}
QTextEdit[role="text"] {{ font-size: {Type.TEXT}px; }}
QTextEdit[role="title"] {{ font-size: {Type.TITLE}px; font-weight: 600; }}
QProgressBar {{ background: {c.sunken}; border: none; border-radius: 2px; max-height: 4px; }}
QProgressBar::chunk {{ background: {c.accent}; border-radius: 2px; }}
"""


def _surfaces(c: Colors) -> str:
    return f"""
QWidget[role="page"] {{ background: {c.page}; }}
QWidget[role="panel"] {{ background: {c.panel}; }}
QFrame[role="card"] {{ background: {c.raised}; border: 1px solid {c.line};
  border-radius: {Radius.L}px; }}
QFrame[role="notice"] {{ background: {c.danger_soft}; border: none;
  border-radius: {Radius.M}px; }}
QFrame[role="banner"] {{ background: {c.accent_soft}; border: none;
  border-radius: {Radius.M}px; }}
QFrame[role="well"] {{ background: {c.sunken}; border: none; border-radius: {Radius.M}px; }}
QFrame[role="rule"] {{ background: {c.line}; max-height: 1px; min-height: 1px; border: none; }}
"""


def _lists(c: Colors) -> str:
    return """
QListView { background: transparent; border: none; }
QListView::item { border: none; }
"""
