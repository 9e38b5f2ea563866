"""The fast part of a grid covers what it promises."""

from __future__ import annotations

from itertools import combinations, product

import pytest

from thinning import thinned

CASES = [case for case in product("abcd", (1, 2, 3), (True, False)) if case[:2] != ("a", 1)]


@pytest.mark.parametrize("strength", [1, 2])
def test_every_combination_of_values_is_in_the_fast_part(strength: int) -> None:
    found = thinned(iter(CASES), strength)
    assert [case.values for case in found] == CASES
    fast = [case.values for case in found if not case.marks]
    assert len(fast) < len(CASES) / 1.5
    for at in combinations(range(3), strength):
        assert {tuple(case[i] for i in at) for case in fast} == {tuple(case[i] for i in at) for case in CASES}
    assert {mark.name for case in found for mark in case.marks} == {"slow"}
