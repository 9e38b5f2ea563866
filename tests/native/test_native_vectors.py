"""Functions that go over vectors of any length, against the same in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from native_functions import normal
from torch import Tensor

from ravine.native.numbers import in_tensors, of_floats
from ravine.native.split import Split
from ravine.native.tensors import Unsupported
from ravine.native.vectors import OverVectors
from ravine.optim.lists import OverLists
from ravine.trace import trace

EXACT = torch.float64
Over = OverVectors | OverLists


def program(
    x: Tensor, g: Tensor, mean: Tensor, beta: Tensor, weight: Tensor, t: Tensor
) -> tuple[Tensor, ...]:
    """A running mean, corrected for its start; a total of weights that is a number."""
    mean = mean + (1.0 - beta) * (g - mean)
    total = weight + beta
    corrected = mean / (1.0 - (t * beta.log()).exp())
    return x - corrected / (corrected.abs().sqrt() + 1e-3) * total, mean, total


def made(make: Callable[[Split], Over] = OverVectors) -> Over:
    return make(Split(program, ["x", "g", "mean"], ["beta", "weight", "t"], ["x", "mean", "weight"]))


@pytest.mark.parametrize("make", [OverVectors, OverLists])
@pytest.mark.parametrize("sizes", [(1,), (15, 16, 17), (0, 5), (32_768, 3), (32_769, 100_003, 0, 1)])
def test_every_length(sizes: tuple[int, ...], make: Callable[[Split], Over]) -> None:
    over = made(make)
    vectors = {name: [normal(size, seed=i) for size in sizes] for i, name in enumerate(("x", "g", "mean"))}
    exact = {name: [vector.double() for vector in some] for name, some in vectors.items()}
    weight = 0.25
    for step in range(1, 4):
        beta, t = 0.999, float(step)
        new = over(vectors, {"beta": beta, "weight": weight, "t": t})
        for i in range(len(sizes)):
            numbers = (torch.tensor(number, dtype=EXACT) for number in (beta, weight, t))
            x, mean, total = program(*(exact[name][i] for name in ("x", "g", "mean")), *numbers)
            exact["x"][i], exact["mean"][i] = x, mean
        weight = new["weight"]
        assert weight == pytest.approx(float(total), rel=1e-15)
    for name in ("x", "mean"):
        for ours, theirs in zip(vectors[name], exact[name], strict=True):
            # float32; the root of a small mean blows rounding up
            torch.testing.assert_close(ours, theirs.float(), rtol=1e-4, atol=1e-5)


def test_what_lies_beside_a_vector_is_left_alone() -> None:
    room = torch.full((3, 64), 7.0)
    x, g, mean = (line[10:43] for line in room)
    numbers = dict.fromkeys(("beta", "weight", "t"), 0.5)
    made()({"x": [x], "g": [g], "mean": [mean]}, numbers)
    assert bool((room[:, :10] == 7.0).all())
    assert bool((room[:, 43:] == 7.0).all())
    assert bool((room[1] == 7.0).all())
    assert not bool((x == 7.0).any())


def test_threads_share_long_vectors_and_bits_do_not_depend_on_their_number() -> None:
    threads, found = torch.get_num_threads(), []
    numbers = dict.fromkeys(("beta", "weight", "t"), 0.5)
    try:
        for num in (1, 3):
            torch.set_num_threads(num)
            vectors = {name: [normal(200_001, seed=i)] for i, name in enumerate(("x", "g", "mean"))}
            made()(vectors, numbers)
            found.append(vectors["x"][0])
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*found)


def test_more_than_one_pass_is_refused() -> None:
    with pytest.raises(Unsupported):
        OverVectors(Split(lambda x, a: (x / x.square().sum().sqrt() * a,), ["x"], ["a"], ["x"]))
    with pytest.raises(Unsupported):
        Split(lambda x, a: (x * a, x.sum()), ["x"], ["a"], ["x", "a"])
    with pytest.raises(Unsupported):
        OverVectors(Split(lambda x, a: (x.cumsum(0) * a,), ["x"], ["a"], ["x"]))


def test_numbers_that_floats_cannot_hold_are_infinite() -> None:
    over = OverVectors(Split(lambda x, a: (x + 1.0 / a, a.log()), ["x"], ["a"], ["x", "a"]))
    vector = torch.zeros(5)
    assert over({"x": [vector]}, {"a": 2.0}) == {"a": pytest.approx(0.6931471805599453, rel=1e-15)}
    assert vector.tolist() == [0.5] * 5
    assert over({"x": [vector]}, {"a": 0.0}) == {"a": -float("inf")}
    assert vector.tolist() == [float("inf")] * 5


def test_numbers_by_floats_and_by_tensors_agree() -> None:
    def program(a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        odd = (a.log() * b).expm1().neg() / (1.0 - b) + a.square() * 3.0 - (2.0 + b).sqrt()
        return odd, (odd.abs() + 0.5).log1p(), b.exp().reciprocal(), a - 1.5

    graph = trace(program, [torch.tensor(0.5), torch.tensor(0.25)])
    by_floats, by_tensors = of_floats(graph), in_tensors(graph)
    assert by_floats is not None
    for a, b in ((0.9, 0.3), (0.999, 7.0), (1e-3, -0.5)):
        assert by_floats(a, b) == pytest.approx(by_tensors(a, b), rel=1e-14)
    assert of_floats(trace(lambda a: (a.sin(),), [torch.tensor(0.5)])) is None
