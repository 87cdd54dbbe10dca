"""The embedded node: store, groups, documents, sync and network behind one public API."""
