"""`python -m ravine` is `ravine`."""

from __future__ import annotations

from ravine.cli import entry

if __name__ == "__main__":
    entry()
