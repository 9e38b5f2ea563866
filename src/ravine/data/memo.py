"""What was found out about decoded pictures by going through all of them, kept beside them under what it depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ravine.cached import find, keep
from ravine.data.decoding import pillow_key
from ravine.data.examples import Examples
from ravine.data.reading import Reading, SheetReading

_KIND = "prepared"  # of the cache
_FORMAT = 1  # of what is kept; a change of the scaling or of the fingerprint is another
_MOST_BYTES = 1 << 24

Digests = npt.NDArray[np.uint8]


def memo_key(digests: Sequence[Digests], reading: Reading, normalize: str | None) -> dict[str, Any]:
    """What the pixels of splits depend on: the content of their files, and how they are read and scaled."""
    content = hashlib.sha256()
    for each in digests:
        content.update(repr(each.shape).encode())
        content.update(np.ascontiguousarray(each).data)
    sheet = reading.sheet.plain() if isinstance(reading, SheetReading) else None
    of_reading = {**reading.key(), "shape": list(reading.shape), "whole sheet": sheet, "normalize": normalize}
    return {"files": content.hexdigest(), "format": _FORMAT, **pillow_key(), **of_reading}


def answers_key(splits: Sequence[Examples], classes: Sequence[str]) -> str:
    """What else a fingerprint depends on: the answers and the classes."""
    content = hashlib.sha256(repr(tuple(classes)).encode())
    for split in splits:
        content.update(np.ascontiguousarray(split.y).data)
    return content.hexdigest()


class Memo:
    """Plain values by name: those that are kept under a key, and those that are made now.

    Args:
        key: all that they depend on; None: nothing is kept.
    """

    def __init__(self, key: Mapping[str, Any] | None) -> None:
        self._key = key
        self._known: dict[str, Any] = {}
        found = None if key is None else find(_KIND, key).arrays
        if found is not None:
            self._known = json.loads(found["json"].tobytes())

    def get(self, name: str, make: Callable[[], Any]) -> Any:
        """The value of a name; made, and kept, if it is not known."""
        if name not in self._known:
            self._known[name] = make()
            if self._key is not None:
                content = np.frombuffer(json.dumps(self._known).encode(), dtype=np.uint8)
                keep(_KIND, self._key, {"json": content}, most=_MOST_BYTES)
        return self._known[name]
