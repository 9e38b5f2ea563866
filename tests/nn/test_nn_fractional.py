"""Fractional max pooling: all sequences, the exact mean over them, and max pooling as a special case."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ravine import rng
from ravine.nn import FractionalMaxPool2d
from ravine.nn.regions import Cuts, drawn_starts, fixed_starts, pseudo_starts, windows

PAIRS = [(25, 18), (7, 5), (12, 7), (36, 25), (9, 5), (6, 3), (26, 15), (5, 5), (3, 2), (2, 1)]


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        yield


def boxes(x: Tensor, rows: list[int], columns: list[int], overlapping: bool) -> Tensor:
    """Max over boxes, one by one."""
    y = torch.empty(*x.shape[:-2], len(rows) - 1, len(columns) - 1, dtype=x.dtype)
    for i, (top, bottom) in enumerate(pairwise(rows)):
        for j, (left, right) in enumerate(pairwise(columns)):
            y[..., i, j] = x[..., top : bottom + overlapping, left : right + overlapping].amax((-2, -1))
    return y


@pytest.mark.parametrize(("places", "regions"), PAIRS)
def test_all_pseudo_sequences_have_regions_of_one_or_two(places: int, regions: int) -> None:
    cuts = Cuts(places, regions)
    found = cuts.sequences()
    assert sum(chance for _, chance in found) == 1
    for starts, _ in found:
        assert (starts[0], starts[-1], len(starts)) == (0, places, regions + 1)
        assert {after - before for before, after in pairwise(starts)} <= {1, 2}
    assert len({tuple(starts) for starts, _ in found}) == len(found)
    # Drawn sequences are these, in these shares.
    u = (torch.arange(512) + 0.5) / 512
    drawn = pseudo_starts(u, places, regions).tolist()
    for starts, chance in found:
        assert abs(drawn.count(starts) / 512 - float(chance)) < 2 / 512
    alpha = Fraction(places, regions)  # the paper's rule, counted from 1, inside its ends
    for value, starts in zip(u.tolist(), drawn, strict=True):
        inner = Fraction(value) * cuts.longest
        assert [s + 1 for s in starts[1:-1]] == [math.ceil(alpha * (i + inner)) for i in range(1, regions)]


def test_how_many_sequences_there_are() -> None:
    assert len(Cuts(25, 18).sequences()) == 24
    assert len(Cuts(6, 3).sequences()) == 1
    keys = rng.key(0, "many", torch.arange(500))
    some = {tuple(s) for s in drawn_starts(keys, (), 7, 5, "random", 0).tolist()}
    assert len(some) == math.comb(5, 2)
    # Above 1.5 the paper's rule makes a first region of 3; u is kept below.
    assert math.ceil(Fraction(26, 15) * (1 + Fraction(8, 10))) - 1 == 3
    assert max(s[1] for s, _ in Cuts(26, 15).sequences()) == 2


@pytest.mark.parametrize("regions", ["pseudo", "random"])
@pytest.mark.parametrize("overlapping", [True, False])
def test_a_pass_is_the_maximum_of_each_box_and_the_exact_mean_that_over_all(
    regions: str, overlapping: bool
) -> None:
    x = torch.randn(2, 2, 7, 6, dtype=torch.float64)
    layer = FractionalMaxPool2d((1.4, 1.5), regions=regions, overlapping=overlapping)
    sizes = layer.output_size(7, 6)
    assert sizes == (5, 4)
    key = rng.key(0, "one")
    starts = [
        drawn_starts(key, (), n, size, regions, axis)
        for axis, (n, size) in enumerate(zip((7, 6), sizes, strict=True))
    ]
    assert torch.equal(layer.sample(x, key), boxes(x, *(s.tolist() for s in starts), overlapping))
    fixed = [list(fixed_starts(n, size)) for n, size in zip((7, 6), sizes, strict=True)]
    assert torch.equal(layer.mean(x), boxes(x, *fixed, overlapping))

    def all_of(places: int, size: int) -> list[tuple[list[int], float]]:
        if regions == "pseudo":
            return [(s, float(chance)) for s, chance in Cuts(places, size).sequences()]
        from itertools import accumulate, combinations

        found = [
            list(accumulate((1 + (i in twos) for i in range(size)), initial=0))
            for twos in combinations(range(size), places - size)
        ]
        return [(s, 1 / len(found)) for s in found]

    expected = sum(
        a * b * boxes(x, rows, columns, overlapping)
        for rows, a in all_of(7, sizes[0])
        for columns, b in all_of(6, sizes[1])
    )
    layer.test = "exact"
    torch.testing.assert_close(layer.mean(x), expected)
    many = x.clone()
    many[0, 0, ::3, ::2] = torch.inf
    assert not layer.mean(many).isnan().any()  # a box that does not occur has no infinity either
    layer.rate = torch.tensor(0.25)
    torch.testing.assert_close(layer.mean(x), 0.25 * expected + 0.75 * boxes(x, *fixed, overlapping))


def test_the_chances_of_windows_add_up() -> None:
    for kind in ("pseudo", "random"):
        _, chances = windows(25, 18, kind)
        assert [sum(own) for own in zip(*chances, strict=True)] == pytest.approx([1.0] * 18)


@pytest.mark.parametrize("training", [True, False])
def test_a_ratio_of_two_without_overlap_is_max_pooling_gradients_too(training: bool) -> None:
    x = torch.randn(2, 3, 6, 8).relu().requires_grad_()  # with ties at 0: the first gets the gradient
    layer = FractionalMaxPool2d(2.0, overlapping=False).train(training)
    ours, theirs = layer(x), F.max_pool2d(x, 2)
    assert torch.equal(ours, theirs)
    weight = torch.randn_like(theirs)
    (a,) = torch.autograd.grad((ours * weight).sum(), x)
    (b,) = torch.autograd.grad((theirs * weight).sum(), x)
    assert torch.equal(a, b)


def test_channels_share_their_regions_and_examples_on_demand() -> None:
    x = torch.arange(49.0).reshape(1, 1, 7, 7).expand(3, 4, 7, 7)
    for draw in ("batch", "example"):
        layer = FractionalMaxPool2d(1.4, draw=draw)
        seen = [layer(x) for _ in range(20)]
        assert all(torch.equal(y, y[:, :1].expand_as(y)) for y in seen)
        assert any(not torch.equal(y[0], y[1]) for y in seen) == (draw == "example")


@pytest.mark.parametrize(
    ("side", "ratio", "size"),
    [(25, 25 / 18, 18), (7, 2.0, 4), (7, 1 / 0.845, 5), (7, 1.01, 6), (1, 1.5, 1), (36, 2**0.5, 25)],
)
def test_output_sizes(side: int, ratio: float, size: int) -> None:
    layer = FractionalMaxPool2d(ratio)
    assert layer.output_size(side, side) == (size, size)
    assert layer(torch.randn(1, 1, side, side)).shape == (1, 1, size, size)
