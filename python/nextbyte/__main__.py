"""`python -m nextbyte`: the command line."""

from __future__ import annotations

from nextbyte.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
