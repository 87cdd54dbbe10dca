"""Groups as encrypted files: out and in."""

SUFFIX = ".lutra"
