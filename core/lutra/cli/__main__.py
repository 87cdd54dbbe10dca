"""`python -m lutra.cli` is the `lutra` command."""

from lutra.cli import main

main()
