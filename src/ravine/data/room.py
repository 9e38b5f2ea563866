"""Whether data fit into memory, asked before they are unpacked."""

from __future__ import annotations

from ravine.errors import DataError
from ravine.host_memory import host_bytes

_SHARE = 0.9  # of what is free that data may take


def require(size: float, what: str) -> None:
    """See that so many bytes are free.

    Args:
        size: how many.
        what: subject of the sentence.

    Raises:
        DataError: they are not.
    """
    free = host_bytes()
    if size > _SHARE * free:
        raise DataError(
            f"{what}: {size / 2**30:,.1f} GiB of memory are needed, {free / 2**30:,.1f} GiB are free"
        )
