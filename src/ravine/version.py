"""Versions of installed packages, each looked up once: its metadata is a text of thousands of lines."""

from __future__ import annotations

from functools import cache
from importlib import metadata


@cache
def version(package: str = "ravine") -> str:
    """The version of an installed package.

    Args:
        package: its name as `pip` knows it.
    """
    return metadata.version(package)
