"""A grid of cases, of which a covering part runs in every suite and the rest with ``scripts/test --all``."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Any

import pytest


def thinned(cases: Iterable[tuple[Any, ...]], strength: int = 2) -> list[Any]:
    """Mark as slow the cases that a covering part of a grid can do without.

    Args:
        cases: the arguments of each case, as for `pytest.mark.parametrize`.
        strength: 1: each value of each argument stays in the fast suite; 2: each pair of values of two arguments
            (that any case has) does.

    Returns:
        All cases in their order; always the same ones are slow.
    """
    every = list(cases)
    wanted = [{(at, *(repr(case[i]) for i in at)) for at in _places(case, strength)} for case in every]
    missing, fast = set().union(*wanted), set[int]()
    while missing:
        best = max(range(len(every)), key=lambda i: (len(wanted[i] & missing), -i))
        fast.add(best)
        missing -= wanted[best]
    return [pytest.param(*case, marks=() if i in fast else pytest.mark.slow) for i, case in enumerate(every)]


def _places(case: tuple[Any, ...], strength: int) -> Iterable[tuple[int, ...]]:
    return combinations(range(len(case)), strength)
