"""Documents: Loro texts with titles, fields and formatting, and their updates.

Pure: no files, no database, no network. `Document` is the node's copy, owned by the engine's
thread; `Replica` is an editor window's copy, owned by the window's thread.
"""
