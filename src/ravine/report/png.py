"""Pixels as a PNG file, without a library: pictures of a page need no more than this."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

_COLOUR_TYPES = {1: 0, 3: 2}  # of channels: grey, and red, green, blue


def png(pixels_HWC: npt.NDArray[np.uint8]) -> bytes:
    """A picture of 1 or 3 channels as a PNG file.

    Example:
        >>> png(np.zeros((2, 3, 1), dtype=np.uint8))[:8]
        b'\\x89PNG\\r\\n\\x1a\\n'
    """
    height, width, channels = pixels_HWC.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    # Each row begins with the number of its filter: none.
    rows = np.zeros((height, 1 + width * channels), dtype=np.uint8)
    rows[:, 1:] = pixels_HWC.reshape(height, -1)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
