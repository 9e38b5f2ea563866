"""Views of a picture: flipped and shifted copies, whose predictions are averaged at test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ravine.messages import count, lacking, unknown, wrong

MOST = 100  # views of one picture
_MOST_SHIFT = 10_000  # pixels
_ALLOWED = (
    'must be "flips", "crops", a table such as { crops = 2 }, or a list such as '
    '["identity", "flip", { shift = [1, 0] }]'
)

Pixels: TypeAlias = np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A copy of a picture: first moved, then mirrored.

    Args:
        flip: whether left and right change places.
        down, right: by how many pixels the picture is moved; what comes in from beyond its edges is mirrored there,
            without the outermost row (reflect padding).
    """

    flip: bool = False
    down: int = 0
    right: int = 0

    @property
    def content(self) -> Any:
        """What `parse_views` reads."""
        if not self.down and not self.right:
            return "flip" if self.flip else "identity"
        return {"shift": [self.down, self.right], **({"flip": True} if self.flip else {})}

    def places(self, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """From which row and which column of the picture each row and each column of the view comes.

        Example:
            >>> rows, columns = View(flip=True, down=1).places(3, 3)
            >>> rows.tolist(), columns.tolist()
            ([1, 0, 1], [2, 1, 0])
        """
        rows, columns = _mirrored(height, self.down), _mirrored(width, self.right)
        return rows, columns[::-1].copy() if self.flip else columns

    def of(self, x: Pixels) -> Pixels:
        """The view of pictures, (N, C, H, W)."""
        rows, columns = self.places(*x.shape[-2:])
        return x[..., rows[:, None], columns]


Views: TypeAlias = tuple[View, ...]

FLIPS: Views = (View(), View(flip=True))


def crops(by: int) -> Views:
    """The picture where it is, and moved by so many pixels towards each corner."""
    return (View(), *(View(down=down, right=right) for down in (-by, by) for right in (-by, by)))


def parse_views(value: object, where: str = "views") -> Views:
    """Views of a picture, at least one and no two alike.

    Args:
        value: a word, a table or a list.
        where: its key, for errors.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> len(parse_views("flips")), len(parse_views("crops")), len(parse_views({"crops": 2}))
        (2, 5, 5)
        >>> parse_views(["identity", {"shift": [1, 0]}])[1]
        View(flip=False, down=1, right=0)
    """
    if isinstance(value, str) and value in ("flips", "crops"):
        return FLIPS if value == "flips" else crops(1)
    if isinstance(value, Mapping):
        for key in value:
            if key != "crops":
                raise unknown(where, key, ["crops"])
        if not value:
            raise wrong(where, dict(value), _ALLOWED)
        return crops(_pixels(value["crops"], f"{where}.crops", 1))
    if not isinstance(value, list | tuple) or not 0 < len(value) <= MOST:
        raise wrong(where, value, f"{_ALLOWED} of 1 to {MOST} views")
    found = tuple(_view(each, f"{where}.{i}") for i, each in enumerate(value))
    for i, view in enumerate(found):
        if view in found[:i]:
            raise wrong(
                f"{where}.{i}", value[i], f"is the same view as {where}.{found.index(view)}; all count alike"
            )
    return found


def check_views(views: Views, shape: Sequence[int], where: str) -> None:
    """See that examples are pictures, and large enough.

    Args:
        views: of them.
        shape: of one example.
        where: the key, for errors.

    Raises:
        StudyError: they are no pictures, or a view leaves the picture.
    """
    if len(shape) != 3:
        raise lacking(
            where,
            f"only pictures have views; an example of these data is a vector of {count(math.prod(shape), 'number')}",
        )
    height, width = shape[1:]
    for view in views:
        if abs(view.down) >= height or abs(view.right) >= width:
            raise lacking(
                where,
                f"a shift of {[view.down, view.right]} leaves a picture of {height} x {width} pixels; at most "
                f"{height - 1} down or up and {width - 1} to a side are allowed",
            )


def _view(value: object, where: str) -> View:
    if isinstance(value, View):
        return value
    if isinstance(value, str) and value in ("identity", "flip"):
        return View(flip=value == "flip")
    if not isinstance(value, Mapping):
        raise wrong(where, value, 'must be "identity", "flip", or a table such as { shift = [1, 0] }')
    for key in value:
        if key not in ("shift", "flip"):
            raise unknown(where, key, ["shift", "flip"])
    shift, flip = value.get("shift", (0, 0)), value.get("flip", False)
    if not isinstance(flip, bool):
        raise wrong(f"{where}.flip", flip, "must be true or false")
    if not isinstance(shift, list | tuple) or len(shift) != 2:
        raise wrong(f"{where}.shift", shift, "must be two whole numbers: pixels down, pixels to the right")
    down, right = (_pixels(each, f"{where}.shift.{i}", -_MOST_SHIFT) for i, each in enumerate(shift))
    return View(flip=flip, down=down, right=right)


def _pixels(value: object, where: str, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= _MOST_SHIFT:
        raise wrong(where, value, f"must be a whole number of pixels from {low:,} to {_MOST_SHIFT:,}")
    return value


def _mirrored(size: int, by: int) -> np.ndarray:
    """Sources of the places of an axis that is moved; beyond its ends it goes back, without its end itself."""
    places = np.abs(np.arange(size) - by)
    return np.where(places < size, places, 2 * (size - 1) - places)
