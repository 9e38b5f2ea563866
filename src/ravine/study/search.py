"""How the values of a study are combined: all of them, or random points that fill the box evenly."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from ravine.forms import Form, Limits, Refused

MOST_RUNS = 100_000
_BITS = 32

# Primitive polynomials (inner coefficients as bits) and first direction numbers of dimensions 2, 3, ...:
# Joe and Kuo, 2008, "Constructing Sobol sequences with better two-dimensional projections".
_DIRECTIONS: tuple[tuple[int, tuple[int, ...]], ...] = (
    (0, (1,)),
    (1, (1, 3)),
    (1, (1, 3, 1)),
    (2, (1, 1, 1)),
    (1, (1, 1, 3, 3)),
    (4, (1, 3, 5, 13)),
    (2, (1, 1, 5, 5, 17)),
    (4, (1, 1, 5, 5, 5)),
    (7, (1, 1, 7, 11, 19)),
    (11, (1, 1, 5, 1, 1)),
    (13, (1, 1, 1, 3, 11)),
    (14, (1, 3, 5, 5, 31)),
    (1, (1, 3, 3, 9, 7, 49)),
    (13, (1, 1, 1, 15, 21, 21)),
    (16, (1, 3, 1, 13, 27, 49)),
    (19, (1, 1, 1, 15, 7, 5)),
    (22, (1, 3, 1, 15, 13, 25)),
    (25, (1, 1, 5, 5, 19, 61)),
    (1, (1, 3, 7, 11, 23, 15, 103)),
    (4, (1, 3, 7, 13, 13, 15, 69)),
)
MOST_AXES = len(_DIRECTIONS) + 1


class Search(Form):
    """How the values are combined: all of them (grid), or ``trials`` random points for every rule.

    Args:
        kind: "grid" or "random".
        trials: random search: how many points each rule gets.
        seed: random search: changes the points.
    """

    kind: Literal["grid", "random"] = "grid"
    trials: Annotated[int, Limits(least=1, most=MOST_RUNS)] | None = None
    seed: Annotated[int, Limits(least=0, below=2**31)] = 0

    def check(self) -> None:
        """See that what was given has a meaning."""
        if self.kind == "random" and self.trials is None:
            raise ValueError("random search needs trials = how many points each rule gets")
        if self.kind == "grid" and self.changed():
            raise ValueError(
                'a grid has no trials and no seed: write { kind = "random", trials = 30 } to draw at random'
            )


def parse_search(value: object) -> Search:
    """How to search, from a kind or a table.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> parse_search({"kind": "random", "trials": 30}).trials
        30
    """
    if isinstance(value, Search):
        return value
    if isinstance(value, str):
        value = {"kind": value}
    try:
        return Search.of(value)
    except Refused as fault:
        raise fault.in_study("search") from None


def sobol(start: int, num: int, axes: Sequence[str], seed: int) -> npt.NDArray[np.float64]:
    """Points of Sobol's sequence, each axis with a random digital shift.

    Every 2^k points in a row lie one in each of 2^k equal slices of every axis, so that they cover the box
    more evenly than independent draws (Sobol, 1967; the shift: Cranley and Patterson, 1976, in base 2). The
    first points stay the same when more are asked for.

    Args:
        start: number of the first point, from 0.
        num: how many; fewer than 2^32 in all.
        axes: names of the axes; an axis's shift depends on its name and the seed.
        seed: any integer.

    Returns:
        float64 (num, len(axes)) in [0, 1).

    Example:
        >>> points = sobol(0, 8, ["lr", "rho"], seed=0)
        >>> sorted((points[:, 0] * 8).astype(int).tolist())
        [0, 1, 2, 3, 4, 5, 6, 7]
    """
    assert len(axes) <= MOST_AXES, f"at most {MOST_AXES} axes, not {len(axes)}"
    n = np.arange(start, start + num, dtype=np.uint64)
    gray = n ^ (n >> np.uint64(1))
    points = np.empty((num, len(axes)))
    for axis, name in enumerate(axes):
        digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
        word = np.full(num, int.from_bytes(digest[:4], "big"), dtype=np.uint64)
        for bit, direction in enumerate(_directions(axis)):
            word ^= (gray >> np.uint64(bit) & np.uint64(1)) * np.uint64(direction)
        points[:, axis] = word / 2.0**_BITS
    return points


def _directions(axis: int) -> list[int]:
    """The direction numbers of an axis, as words of `_BITS` bits."""
    if axis == 0:
        return [1 << (_BITS - 1 - i) for i in range(_BITS)]
    inner, first = _DIRECTIONS[axis - 1]
    degree = len(first)
    found = [m << (_BITS - 1 - i) for i, m in enumerate(first)]
    for i in range(degree, _BITS):
        word = found[i - degree] ^ (found[i - degree] >> degree)
        for k in range(1, degree):
            if inner >> (degree - 1 - k) & 1:
                word ^= found[i - k]
        found.append(word)
    return found
