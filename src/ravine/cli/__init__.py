"""The command line."""

from __future__ import annotations

from ravine.cli.main import main

__all__ = ["main"]
