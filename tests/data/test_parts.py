"""Parts of a training set: nested draws of n examples of each class."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from ravine.data import Dataset, load, parse_data
from ravine.data.parts import PartOf, check_parts, order_of, part_of
from ravine.errors import DataError


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load(parse_data("digits"))


def _rows(x: np.ndarray) -> set[bytes]:
    return {each.tobytes() for each in x}


def test_parts_of_a_draw_are_nested(digits: Dataset) -> None:
    parts = [part_of(digits, PartOf(per_class=n, draw=1)) for n in (5, 7, 10, 20)]
    for small, large in pairwise(parts):
        assert _rows(small.train.x) < _rows(large.train.x)
        assert _rows(small.validation.x) <= _rows(large.validation.x)
    below = part_of(digits, PartOf(per_class=4, draw=1))
    assert _rows(below.train.x) == _rows(parts[0].train.x)  # the fifth picture is the first for validation


@pytest.mark.parametrize(
    ("n", "train", "validation"), [(1, 1, 1), (4, 4, 4), (5, 4, 1), (9, 8, 1), (50, 40, 10)]
)
def test_every_fifth_example_is_for_validation(digits: Dataset, n: int, train: int, validation: int) -> None:
    part = PartOf(per_class=n, draw=0)
    found = part_of(digits, part)
    assert np.bincount(found.train.y).tolist() == [train] * 10
    assert np.bincount(found.validation.y).tolist() == [validation] * 10
    answers = part.answers(10)
    assert np.array_equal(found.train.y, answers[0])
    assert np.array_equal(found.validation.y, answers[1])
    shared = _rows(found.train.x) & _rows(found.validation.x)
    assert bool(shared) is not part.tuned


def test_the_test_split_is_the_whole_one(digits: Dataset) -> None:
    found = part_of(digits, PartOf(per_class=5, draw=0))
    assert np.array_equal(found.test.x, digits.test.x)
    assert _rows(found.train.x) <= _rows(digits.train.x)


def test_draws_differ_and_are_the_same_again(digits: Dataset) -> None:
    one, again, other = (part_of(digits, PartOf(per_class=5, draw=draw)) for draw in (0, 0, 1))
    assert np.array_equal(one.train.x, again.train.x)
    assert one.fingerprint == again.fingerprint
    assert len({one.fingerprint, other.fingerprint, digits.fingerprint}) == 3
    assert len(_rows(one.train.x) & _rows(other.train.x)) < 20


def test_an_order_depends_on_draw_and_class_alone() -> None:
    """And is uniform: each of six orders of three comes up in a sixth of the draws."""
    assert order_of(3, 1, 8).tolist() == order_of(3, 1, 8).tolist()
    assert order_of(3, 1, 8).tolist() != order_of(3, 2, 8).tolist()
    orders = [tuple(order_of(draw, of_class, 3).tolist()) for draw in range(40) for of_class in range(15)]
    counts = [orders.count(each) for each in sorted(set(orders))]
    assert len(counts) == 6
    assert (
        sum((each - 100) ** 2 / 100 for each in counts) < 15.1
    )  # chi-square, 5 degrees of freedom: p = 0.01


def test_too_few_examples_and_no_classes(digits: Dataset) -> None:
    with pytest.raises(
        DataError, match=r"ladder.per_class = 200: digits has only 104 .* of class '8'; allowed: up to 104"
    ):
        part_of(digits, PartOf(per_class=200, draw=0))
    with pytest.raises(DataError, match="diabetes is a regression"):
        check_parts(load(parse_data("diabetes")), [5])
