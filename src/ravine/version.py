"""Versions of installed packages, each looked up once: its metadata is a text of thousands of lines."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path


@cache
def version(package: str = "ravine") -> str:
    """The version of an installed package.

    Args:
        package: its name as `pip` knows it.
    """
    return metadata.version(package)


@cache
def sources() -> str:
    """A hash of ravine's own code: what was kept by other code may be something else."""
    files = sorted(Path(__file__).parent.rglob("*.py"))
    return sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
