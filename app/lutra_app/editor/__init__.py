"""The page: a QTextDocument and a `lutra.documents.Replica` that are always the same text."""
