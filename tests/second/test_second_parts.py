"""The parts of second-order methods, against textbook forms in float64 and SciPy's line search conditions."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ravine.errors import ModelError
from ravine.rules.bfgs import updated
from ravine.rules.searching import curved
from ravine.second import dense
from ravine.second.history import History
from ravine.second.line_search import LineSearch, Outcome

F64 = torch.float64
ROUNDING = 1e-9  # relative, for float64 sums over a few dozen terms with solves in between


def pairs(num: int, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Steps and gradient changes of a quadratic whose Hessian has eigenvalues from about 1 to 10."""
    rng = torch.Generator().manual_seed(seed)
    root = torch.randn(size, size, generator=rng, dtype=F64)
    hessian = root @ root.T / size + torch.eye(size, dtype=F64)
    steps = torch.randn(num, size, generator=rng, dtype=F64)
    return steps, steps @ hessian


def two_loops(steps: Tensor, changes: Tensor, grad: Tensor) -> Tensor:
    """-H g as in Nocedal and Wright, algorithm 7.4."""
    q, alphas = grad.clone(), []
    for s, y in zip(reversed(steps), reversed(changes), strict=True):
        alphas.append(s @ q / (s @ y))
        q -= alphas[-1] * y
    r = q * (steps[-1] @ changes[-1]) / (changes[-1] @ changes[-1])
    for s, y, alpha in zip(steps, changes, reversed(alphas), strict=True):
        r += s * (alpha - y @ r / (s @ y))
    return -r


@pytest.mark.parametrize("seen", [1, 3, 4, 5, 11])
def test_a_direction_is_that_of_two_loops_over_the_last_pairs(seen: int) -> None:
    most, size = 4, 12
    steps, changes = pairs(seen, size, seed=seen)
    history = History.empty(size, most, steps)
    for s, y in zip(steps, changes, strict=True):
        history.push(s, y)
    grad = torch.linspace(-1, 1, size, dtype=F64)
    expected = two_loops(steps[-most:], changes[-most:], grad)
    torch.testing.assert_close(history.direction(grad), expected, rtol=ROUNDING, atol=ROUNDING)


def test_without_a_pair_it_goes_along_the_gradient() -> None:
    grad = torch.linspace(-1, 1, 5)
    assert torch.equal(History.empty(5, 3, grad).direction(grad), -grad)


def test_pairs_without_positive_curvature_are_none() -> None:
    s = torch.tensor([[1.0, 0.0]] * 4)
    y = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [math.inf, 0.0]])
    assert curved(s, y).flatten().tolist() == [True, False, False, False]


FUNCTIONS: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "parabola": (lambda t: (t - 3) ** 2, lambda t: 2 * (t - 3)),
    "far minimum": (lambda t: (t - 500) ** 2, lambda t: 2 * (t - 500)),
    "near minimum": (lambda t: (t - 1e-4) ** 2, lambda t: 2 * (t - 1e-4)),
    "wall": (
        lambda t: -t - math.log(1 - t) / 9 if t < 1 else math.inf,
        lambda t: 1 / (1 - t) / 9 - 1 if t < 1 else math.nan,
    ),
    "flat, then steep": (lambda t: math.exp(t) - 20 * t, lambda t: math.exp(t) - 20),
}


@pytest.mark.parametrize("c2", [0.9, 0.1])
@pytest.mark.parametrize("first", [1e-3, 1.0, 30.0])
@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_an_accepted_step_meets_the_strong_wolfe_conditions(name: str, first: float, c2: float) -> None:
    loss, slope = FUNCTIONS[name]
    search = LineSearch(loss=loss(0.0), slope=slope(0.0), t=first, c2=c2)
    for _ in range(20):
        outcome = search.observe(loss(search.t), slope(search.t))
        if outcome is not Outcome.AGAIN:
            break
    assert outcome is Outcome.ACCEPTED
    assert not search.settling
    assert search.count <= 14
    assert loss(search.t) <= loss(0.0) + 1e-4 * search.t * slope(0.0)
    assert abs(slope(search.t)) <= c2 * abs(slope(0.0))


def test_a_search_that_finds_nothing_fails_and_one_that_runs_out_takes_the_lowest() -> None:
    up = LineSearch(loss=0.0, slope=-1.0)  # the slope is a lie
    for _ in range(40):
        if (outcome := up.observe(up.t, 1.0)) is not Outcome.AGAIN:
            break
    assert outcome is Outcome.FAILED
    short = LineSearch(loss=1.0, slope=-1.0, most=2)
    assert short.observe(0.9, -1.0) is Outcome.AGAIN
    assert short.t > 1.0
    assert short.observe(5.0, 1.0) is Outcome.AGAIN
    assert short.t == 1.0
    assert short.observe(0.9, -1.0) is Outcome.ACCEPTED


def test_bfgs_keeps_the_secant_equation_and_is_the_textbooks() -> None:
    steps, changes = pairs(1, 6, seed=3)
    root = torch.randn(6, 6, generator=torch.Generator().manual_seed(4), dtype=F64)
    start = root @ root.T + torch.eye(6, dtype=F64)
    found = updated(start[None], steps, changes)
    s, y, eye = steps[0], changes[0], torch.eye(6, dtype=F64)
    left = eye - torch.outer(s, y) / (s @ y)
    torch.testing.assert_close(
        found[0], left @ start @ left.T + torch.outer(s, s) / (s @ y), rtol=ROUNDING, atol=ROUNDING
    )
    torch.testing.assert_close(found[0] @ y, s, rtol=ROUNDING, atol=ROUNDING)


def test_newton_repels_from_a_saddle_only_if_told() -> None:
    hessian, grad = torch.diag(torch.tensor([2.0, -4.0], dtype=F64)), torch.tensor([2.0, 4.0], dtype=F64)

    def direction(damping: float, saddle_free: bool) -> list[float]:
        return dense.newton_direction(hessian[None], grad[None], damping, saddle_free)[0].tolist()

    assert direction(0.0, False) == [-1.0, 1.0]
    assert direction(0.0, True) == [-1.0, -1.0]
    assert direction(4.0, True) == pytest.approx([-1 / 3, -0.5])


def test_directions_of_newton_side_by_side_are_those_alone() -> None:
    """One row is not finite: it has no direction, and its neighbours have theirs."""
    rng = torch.Generator().manual_seed(5)
    root = torch.randn(4, 6, 6, generator=rng, dtype=F64)
    hessian, grad = root + root.mT, torch.randn(4, 6, generator=rng, dtype=F64)
    hessian[2, 0, 0] = math.inf
    damping = torch.tensor([[0.1], [0.3], [0.1], [2.0]], dtype=F64)
    saddle_free = torch.tensor([[True], [False], [True], [True]])
    found = dense.newton_direction(hessian, grad, damping, saddle_free)
    for row in (0, 1, 3):
        matrix = hessian[row]
        if saddle_free[row]:
            values, vectors = torch.linalg.eigh(matrix)
            matrix = vectors @ torch.diag(values.abs()) @ vectors.T
        expected = -torch.linalg.solve(matrix + damping[row] * torch.eye(6, dtype=F64), grad[row])
        torch.testing.assert_close(found[row], expected, rtol=ROUNDING, atol=ROUNDING)
    assert bool(found[2].isnan().all())


def test_a_matrix_that_does_not_fit_is_refused_with_its_size() -> None:
    with pytest.raises(ModelError, match=r"Newton: .* 11,000,000 x 11,000,000 numbers takes 484 TB"):
        dense.require_room(11_000_000, torch.float32, torch.device("cpu"), "Newton")
    dense.require_room(100, torch.float32, torch.device("cpu"), "Newton")
