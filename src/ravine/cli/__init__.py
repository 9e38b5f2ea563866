"""The command line."""

from __future__ import annotations

from ravine.cli.main import entry, main

__all__ = ["entry", "main"]
