"""What is known of the pictures that machine code is written for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Number = Callable[[str], str]
"""The name of a number of the picture's plan, as a float."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What is known of the pictures.

    Args:
        channels, height, width: of each.
        fill: what lies outside, an option of `ravine.augment.spec.Augment`.
        has: names of the numbers that a plan has.
    """

    channels: int
    height: int
    width: int
    fill: str
    has: frozenset[str]

    @property
    def size(self) -> int:
        """Numbers of a picture."""
        return self.channels * self.height * self.width

    @property
    def groups(self) -> int:
        """Of up to four channels."""
        return -(-self.channels // 4)

    @property
    def wide(self) -> int:
        """Pixels of a row with its border: one before it, and two after it, the last of which only has to be there."""
        return self.width + 3

    @property
    def padded(self) -> int:
        """Pixels of a picture with its border, in memory."""
        return self.wide * (self.height + 3)

    @property
    def bends(self) -> bool:
        """Whether a map may read between pixels."""
        return bool(self.has & {"xx", "lens", "move_x"})
