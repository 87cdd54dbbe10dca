"""The one window: sidebar, page, drawer, state line and command palette."""
