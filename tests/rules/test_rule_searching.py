"""Rules that search: masked forms against the slow ones of `ravine.second`, and paths against `ravine.optim`."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from ravine import optim
from ravine.errors import StudyError
from ravine.rules import (
    SEARCHING,
    Evaluation,
    Rule,
    hyper_names,
    lbfgs,
    masked_line_search,
    rule,
    shaped,
    structure,
)
from ravine.rules import bfgs as bfgs_rule
from ravine.second.dense import newton_direction
from ravine.second.line_search import LineSearch, Outcome

F64 = torch.float64
ROUNDING = 1e-9  # relative, for float64 sums over a few dozen terms with divisions in between

Curve = tuple[Callable[[float], float], Callable[[float], float]]
CURVES: dict[str, Curve] = {
    "parabola": (lambda t: (t - 3) ** 2, lambda t: 2 * (t - 3)),
    "far": (lambda t: (t - 500) ** 2, lambda t: 2 * (t - 500)),
    "near": (lambda t: (t - 1e-4) ** 2, lambda t: 2 * (t - 1e-4)),
    "wall": (
        lambda t: -t - math.log(1 - t) / 9 if t < 1 else math.inf,
        lambda t: 1 / (1 - t) / 9 - 1 if t < 1 else math.nan,
    ),
    "steep": (lambda t: math.exp(min(t, 500)) - 20 * t, lambda t: math.exp(min(t, 500)) - 20),
    "waves": (lambda t: math.sin(3 * t) * 2 - t + 0.02 * t * t, lambda t: 6 * math.cos(3 * t) - 1 + 0.04 * t),
    "a lie": (lambda t: t, lambda t: 1.0 if t else -1.0),
    "endless": (lambda t: -t, lambda t: -1.0),
    "level": (lambda t: 1.0, lambda t: -1e-9 + 3e-9 * t),
}


@pytest.mark.parametrize("c2", [0.9, 0.1])
def test_masked_searches_are_the_plain_ones_side_by_side(c2: float) -> None:
    """Each row is in a phase of its own; what is found in the midst of one leaves its neighbours alone."""
    cases = [(name, first) for name in CURVES for first in (1e-3, 0.3, 1.0, 30.0)]
    plain, starts = [], []
    for name, first in cases:
        loss, slope = CURVES[name]
        plain.append(LineSearch(loss=loss(0.0), slope=slope(0.0), t=first, c2=c2))
        starts.append((loss(0.0), slope(0.0), first))
    column = [torch.tensor([each], dtype=F64).T for each in zip(*starts, strict=True)]
    search = masked_line_search.begun(*column)
    outcomes: list[Outcome | None] = [None] * len(cases)
    number = column[0] * 0.0 + 1.0
    for _ in range(25):
        ts = search["t"][:, 0].tolist()
        found = [(CURVES[name][0](t), CURVES[name][1](t)) for (name, _), t in zip(cases, ts, strict=True)]
        losses, slopes = (torch.tensor([each], dtype=F64).T for each in zip(*found, strict=True))
        seen = masked_line_search.observe(
            search, losses, slopes, c1=1e-4 * number, c2=c2 * number, eps=2.0**-52
        )
        search = seen.search
        for row, (name, _) in enumerate(cases):
            if outcomes[row] is not None:
                continue
            assert ts[row] == pytest.approx(plain[row].t, rel=ROUNDING), name
            outcome = plain[row].observe(*found[row])
            expected = (outcome is Outcome.ACCEPTED, outcome is Outcome.FAILED)
            assert (bool(seen.accepted[row]), bool(seen.failed[row])) == expected, (name, plain[row])
            outcomes[row] = None if outcome is Outcome.AGAIN else outcome
    assert set(outcomes) == {Outcome.ACCEPTED, Outcome.FAILED}


def two_loops(steps: list[Tensor], changes: list[Tensor], grad: Tensor) -> Tensor:
    """-H g as in Nocedal and Wright, algorithm 7.4."""
    q, alphas = grad.clone(), []
    for s, y in zip(reversed(steps), reversed(changes), strict=True):
        alphas.append(s @ q / (s @ y))
        q -= alphas[-1] * y
    r = q * (steps[-1] @ changes[-1]) / (changes[-1] @ changes[-1]) if steps else q
    for s, y, alpha in zip(steps, changes, reversed(alphas), strict=True):
        r += s * (alpha - y @ r / (s @ y))
    return -r


def test_rings_of_pairs_go_their_own_ways() -> None:
    """Rows learn and forget at different times; each has the direction of its own last pairs."""
    num, size, most = 6, 9, 3
    draw, pick = torch.Generator().manual_seed(1), random.Random(1)
    root = torch.randn(size, size, generator=draw, dtype=F64)
    curve = root @ root.T / size + torch.eye(size, dtype=F64)
    memory = lbfgs.empty(torch.zeros(num, size, dtype=F64), most)
    pairs: list[list[tuple[Tensor, Tensor]]] = [[] for _ in range(num)]
    for _ in range(30):
        s = torch.randn(num, size, generator=draw, dtype=F64)
        s[0] *= 0.0  # no pair at all
        y = s @ curve
        y[1] = -y[1]  # always of negative curvature
        learned = [pick.random() < 0.6 for _ in range(num)]
        memory = lbfgs.learn(memory, torch.tensor(learned)[:, None], s, y)
        forgotten = [pick.random() < 0.05 for _ in range(num)]
        memory = lbfgs.forget(memory, torch.tensor(forgotten)[:, None])
        grad = torch.randn(num, size, generator=draw, dtype=F64)
        found = lbfgs.direct(memory, grad)
        for row in range(num):
            if learned[row] and row > 1:
                pairs[row].append((s[row], y[row]))
            if forgotten[row]:
                pairs[row] = []
            own = pairs[row][-most:]
            expected = two_loops([s for s, _ in own], [y for _, y in own], grad[row])
            torch.testing.assert_close(found[row], expected, rtol=ROUNDING, atol=ROUNDING)
            assert bool(lbfgs.knows(memory)[row]) == bool(own)


def test_bfgs_learns_as_the_plain_form_and_begins_with_the_scale_of_the_first_pair() -> None:
    draw = torch.Generator().manual_seed(2)
    s = torch.randn(3, 4, generator=draw, dtype=F64)
    y = 2.0 * s + 0.1 * torch.randn(3, 4, generator=draw, dtype=F64)
    state = bfgs_rule.init(torch.zeros(3, 4, dtype=F64))
    memory = bfgs_rule.learn(state, torch.tensor([[True], [True], [False]]), s, y)
    for row in range(2):
        expected = (s[row] @ y[row]) / (y[row] @ y[row]) * torch.eye(4, dtype=F64)[None]
        expected = bfgs_rule.updated(expected, s[row : row + 1], y[row : row + 1])
        torch.testing.assert_close(memory["inverse"][row], expected[0], rtol=ROUNDING, atol=ROUNDING)
    assert torch.equal(memory["inverse"][2], state["inverse"][2])
    assert bfgs_rule.knows(memory)[:, 0].tolist() == [True, True, False]


def rosenbrock(x: Tensor) -> Tensor:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def bowl(x: Tensor) -> Tensor:
    return (torch.arange(1, len(x) + 1, dtype=x.dtype) * x**2).sum() + 0.1 * (x**4).sum()


class Walk:
    """One evaluation after another, as the engine makes them: a loss, a gradient, the rule."""

    def __init__(self, named: Rule, x: Tensor, **hypers: float) -> None:
        self.rule, self.x = named, x[None].clone()
        values = {name: hyper.default for name, hyper in named.hypers.items()} | hypers
        self.hypers = {name: torch.tensor([[value]], dtype=x.dtype) for name, value in values.items()}
        self.state, self.losses, self.fresh = named.init(self.x), [], 0.0

    def evaluate(self, function: Callable[[Tensor], Tensor]) -> None:
        x = self.x[0].clone().requires_grad_()
        loss = function(x)
        (grad,) = torch.autograd.grad(loss, x)
        found = Evaluation(
            grad=grad[None], loss=loss.detach()[None, None], fresh=torch.tensor([[self.fresh]])
        )
        assert self.rule.search is not None
        if self.rule.search.hessian:
            hessian = torch.autograd.functional.hessian(function, x.detach())
            saddle_free = self.hypers["saddle_free"] > 0
            newton = newton_direction(hessian[None], grad[None], self.hypers["damping"], saddle_free)
            found = replace(found, newton=newton)
        step, self.state = self.rule.search.advance(found, self.state, self.x, self.hypers)
        self.x = self.x + step
        self.losses.append(loss.item())

    @property
    def point(self) -> Tensor:
        hook = self.rule.deployed
        assert hook is not None
        return hook(self.x, self.state, self.hypers)[0]


@pytest.mark.parametrize("function", [rosenbrock, bowl])
@pytest.mark.parametrize(("kind", "name"), [("lbfgs", "LBFGS"), ("bfgs", "BFGS")])
def test_the_path_is_that_of_ravine_optim(kind: str, name: str, function: Callable[[Tensor], Tensor]) -> None:
    """The same evaluations in the same order: 30 of them in float64, until rounding parts them."""
    start = torch.tensor([-1.2, 1.0, 0.5, -0.7], dtype=F64)
    x, losses = nn.Parameter(start.clone()), []
    optimizer = getattr(optim, name)([x], max_iter=100, max_eval=60)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = function(x)
        loss.backward()
        losses.append(loss.item())
        return loss

    optimizer.step(closure)
    walk = Walk(rule(kind), start)
    for _ in losses:
        walk.evaluate(function)
    num = min(30, len(losses))
    assert num >= 10
    assert walk.losses[:num] == pytest.approx(losses[:num], rel=1e-5, abs=1e-12)
    for _ in range(40):  # where optim has stopped, the rule goes on
        walk.evaluate(function)
    assert function(walk.point).item() < 1e-9


@pytest.mark.parametrize("kind", sorted(SEARCHING))
def test_a_minimum_is_a_place_to_stay(kind: str) -> None:
    walk = Walk(rule(kind), torch.tensor([3.0, -2.0, 1.0]))
    for _ in range(60):
        walk.evaluate(bowl)
    before = walk.point.clone()
    for _ in range(30):
        walk.evaluate(bowl)
        assert torch.isfinite(walk.x).all()
    assert bowl(walk.point) <= bowl(before)
    assert bowl(walk.point).item() < 1e-12


@pytest.mark.parametrize("line_search", [0.0, 1.0])
def test_newton_needs_one_step_on_a_quadratic(line_search: float) -> None:
    curve = torch.tensor([[4.0, 1.0], [1.0, 0.5]], dtype=F64)
    walk = Walk(rule("newton"), torch.tensor([5.0, -9.0], dtype=F64), line_search=line_search)
    walk.evaluate(lambda x: 0.5 * x @ curve @ x)
    torch.testing.assert_close(walk.x[0], torch.zeros(2, dtype=F64), atol=1e-12, rtol=0)


@pytest.mark.parametrize(("saddle_free", "goal"), [(0.0, 0.0), (1.0, 1.0)])
def test_newton_without_a_search_goes_to_a_saddle_unless_told(saddle_free: float, goal: float) -> None:
    start = torch.tensor([0.5, 0.1], dtype=F64)
    walk = Walk(rule("newton"), start, line_search=0.0, saddle_free=saddle_free, lr=0.5)
    for _ in range(60):
        walk.evaluate(lambda x: x[0] ** 2 + (x[1] ** 2 - 1) ** 2)
    assert walk.point.tolist() == pytest.approx([0.0, goal], abs=1e-6)


@pytest.mark.parametrize("kind", ["lbfgs", "bfgs"])
def test_no_pair_spans_two_batches(kind: str) -> None:
    """Two functions of second derivatives 1 and 4 take turns: a pair has one or the other, never a mix."""
    walk = Walk(rule(kind), torch.tensor([3.0], dtype=F64), history=2.0) if kind == "lbfgs" else None
    walk = walk or Walk(rule(kind), torch.tensor([3.0], dtype=F64))
    walk.fresh = 1.0
    functions = (lambda x: 0.5 * (x**2).sum(), lambda x: 2.0 * ((x - 9) ** 2).sum())
    turn, ratios = 0, set()
    for _ in range(40):
        had = walk.state["num_pairs"].item()
        before = walk.state
        walk.evaluate(functions[turn])
        if walk.state["num_pairs"].item() > had:
            if kind == "lbfgs":
                place = int(had) % 10
                ratio = walk.state["changes"][0, place] / walk.state["steps"][0, place]
                ratios.add(round(ratio.item(), 6))
            else:
                ratios.add(round(1.0 / walk.state["inverse"].item(), 6))  # one dimension: H is s / y
        if walk.state["searching"].item() == 0.0 and before["searching"].item() == 1.0:
            turn = 1 - turn
    assert ratios == {1.0, 4.0}


@pytest.mark.parametrize("kind", sorted(SEARCHING))
def test_a_loss_that_is_not_finite_on_the_way_is_too_far(kind: str) -> None:
    def steep(x: Tensor) -> Tensor:
        return (x.exp().exp() - 3 * x).sum()

    walk = Walk(rule(kind), torch.full((3,), -3.0), lr=50.0)  # a first trial 50 times too far
    for _ in range(300):
        walk.evaluate(steep)
    assert not all(math.isfinite(loss) for loss in walk.losses)
    # e^x e^(e^x) = 3 at the minimum
    at = walk.point[0].item()
    assert math.exp(at) * math.exp(math.exp(at)) == pytest.approx(3.0, rel=1e-3)


def test_what_shapes_a_state_is_structure_and_the_rest_is_numbers() -> None:
    assert structure("lbfgs", {"lr": 1.0, "history": 3.0}) == {"rule": "lbfgs", "history": 3.0}
    assert structure("newton", {"lr": 1.0}) == {"rule": "newton"}
    few = shaped("lbfgs", {"history": 3.0}).init(torch.zeros(2, 5))
    assert few["steps"].shape == (2, 3, 5)
    for slot in few.values():
        assert len(slot) == 2
    assert "l1" not in hyper_names("lbfgs")
    with pytest.raises(StudyError, match="lbfgs"):
        rule("lbfsg")
