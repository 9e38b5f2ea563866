"""LBFGS, BFGS and Newton against SciPy, Optax, closed forms and what was reported of torch.optim.LBFGS."""

from __future__ import annotations

import copy
import doctest
import importlib
import io
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import optimize
from sklearn.datasets import load_breast_cancer, load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from ravine import optim
from ravine.errors import ModelError

F64 = torch.float64
MOST = 1.3  # times SciPy's evaluations
GRADIENT = 1e-5  # largest number of a gradient where a search ends, in both


def rosenbrock(x: Tensor) -> Tensor:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def closing(optimizer: torch.optim.Optimizer, loss: Callable[[], Tensor]) -> Callable[[], Tensor]:
    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    return closure


def scipys(loss: Callable[[Tensor], Tensor], start: Tensor, method: str = "L-BFGS-B") -> Any:
    def both(x: np.ndarray) -> tuple[float, np.ndarray]:
        at = torch.tensor(x, requires_grad=True)
        value = loss(at)
        (grad,) = torch.autograd.grad(value, at)
        return value.item(), grad.numpy()

    options = {"maxiter": 10_000, "gtol": GRADIENT}
    if method == "L-BFGS-B":
        options.update({"maxfun": 100_000, "ftol": 0.0, "maxcor": 10})
    return optimize.minimize(both, start.numpy(), jac=True, method=method, options=options)


@pytest.mark.parametrize("kind", ["LBFGS", "BFGS"])
@pytest.mark.parametrize("size", [2, 10, 100, pytest.param(1000, marks=pytest.mark.slow)])
def test_rosenbrock_takes_no_more_evaluations_than_scipy(kind: str, size: int) -> None:
    if (kind, size) == ("BFGS", 1000):
        pytest.skip("thousands of products with a million numbers")
    start = torch.tensor([-1.2, 1.0], dtype=F64).repeat(size // 2)
    x = nn.Parameter(start.clone())
    optimizer = getattr(optim, kind)([x], max_iter=10_000, tolerance_grad=GRADIENT)
    optimizer.step(closing(optimizer, lambda: rosenbrock(x)))
    assert rosenbrock(x.detach()) < 1e-9
    assert optimizer.num_evaluations <= MOST * scipys(rosenbrock, start).nfev


@pytest.mark.slow
def test_optax_ends_where_we_do_on_rosenbrock() -> None:
    optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")
    jnp = jax.numpy

    def loss(x: Any) -> Any:
        return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()

    point, solver = jnp.array([-1.2, 1.0] * 5), optax.lbfgs()
    state, both = solver.init(point), jax.jit(optax.value_and_grad_from_state(loss))
    update = jax.jit(lambda g, s, p, v: solver.update(g, s, p, value=v, grad=g, value_fn=loss))
    for _ in range(200):
        value, grad = both(point, state=state)
        step, state = update(grad, state, point, value)
        point = optax.apply_updates(point, step)
    x = nn.Parameter(torch.tensor([-1.2, 1.0]).repeat(5))
    optimizer = optim.LBFGS([x], max_iter=200)
    optimizer.step(closing(optimizer, lambda: rosenbrock(x)))
    np.testing.assert_allclose(
        x.detach().numpy(), np.asarray(point), atol=1e-3
    )  # float32, curvature down to 0.5


@pytest.mark.parametrize("kind", ["LBFGS", "BFGS", "Newton"])
def test_logistic_regression_ends_at_scipys_optimum(kind: str) -> None:
    found = load_breast_cancer()
    x = torch.tensor((found.data - found.data.mean(0)) / found.data.std(0))
    sign = torch.tensor(2.0 * found.target - 1)

    def loss(w: Tensor) -> Tensor:
        return softplus(-sign * (x @ w[:-1] + w[-1])).mean() + 0.01 * (w @ w)

    start = torch.zeros(31, dtype=F64)
    theirs = scipys(loss, start, "BFGS" if kind == "BFGS" else "L-BFGS-B")
    w = nn.Parameter(start.clone())
    optimizer = getattr(optim, kind)([w], max_iter=500, tolerance_grad=GRADIENT)
    optimizer.step((lambda: loss(w)) if kind == "Newton" else closing(optimizer, lambda: loss(w)))
    # Curvature is at least 0.02: a gradient of 1e-5 in 31 numbers is within 3e-3 of the optimum.
    np.testing.assert_allclose(w.detach().numpy(), theirs.x, atol=3e-3)
    assert loss(w.detach()).item() == pytest.approx(theirs.fun, abs=1e-6)
    assert optimizer.num_evaluations <= MOST * theirs.nfev


def test_a_network_on_digits_is_as_low_as_scipys_after_as_many_evaluations() -> None:
    found = load_digits()
    x, y = torch.tensor(found.data / 16.0), torch.tensor(found.target)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 10)).double()
    names, shapes = [n for n, _ in model.named_parameters()], [p.shape for p in model.parameters()]

    def loss(w: Tensor) -> Tensor:
        pieces = w.split([shape.numel() for shape in shapes])
        params = {n: p.view(s) for n, p, s in zip(names, pieces, shapes, strict=True)}
        return cross_entropy(torch.func.functional_call(model, params, x), y)

    start = torch.cat([p.detach().flatten() for p in model.parameters()])
    optimizer = optim.LBFGS(model.parameters(), max_iter=1000, max_eval=1000, tolerance_grad=0.0)
    losses: list[float] = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = cross_entropy(model(x), y)
        value.backward()
        losses.append(value.item())
        if losses[-1] < 0.01:
            for p in model.parameters():
                p.grad = torch.zeros_like(p)  # it counts as the minimum, so the call ends
        return value

    optimizer.step(closure)
    seen: list[float] = []

    def noted(w: Tensor) -> Tensor:
        value = loss(w)
        seen.append(value.item())
        return value

    scipys(noted, start)
    assert len(losses) <= MOST * next(i + 1 for i, value in enumerate(seen) if value < 0.01)


def test_newton_reaches_a_quadratics_minimum_in_one_step() -> None:
    root = torch.randn(8, 8, generator=torch.Generator().manual_seed(0), dtype=F64)
    matrix, linear = root @ root.T + torch.eye(8, dtype=F64), torch.linspace(-1, 1, 8, dtype=F64)
    a, b = (nn.Parameter(torch.ones(2, 2, dtype=F64)), nn.Parameter(torch.ones(4, dtype=F64)))

    def loss() -> Tensor:
        x = torch.cat([a.flatten(), b])
        return 0.5 * x @ matrix @ x - linear @ x

    optim.Newton([a, b]).step(loss)
    expected = torch.linalg.solve(matrix, linear)
    torch.testing.assert_close(torch.cat([a.detach().flatten(), b.detach()]), expected, rtol=1e-9, atol=1e-9)


def test_newton_leaves_a_saddle_only_if_told() -> None:
    for saddle_free in (False, True):
        x = nn.Parameter(torch.tensor([0.5, 0.1], dtype=F64))
        optimizer = optim.Newton([x], max_iter=50, saddle_free=saddle_free, line_search=saddle_free)
        optimizer.step(lambda x=x: x[0] ** 2 + (x[1] ** 2 - 1) ** 2)
        expected = [0.0, 1.0] if saddle_free else [0.0, 0.0]
        torch.testing.assert_close(x.detach(), torch.tensor(expected, dtype=F64), atol=1e-6, rtol=0)


def test_many_steps_end_where_one_long_step_does() -> None:
    """What pytorch/pytorch issue 49993 asks for; from this start torch.optim.LBFGS does so too."""
    start = torch.tensor([76.1, 79.7, -65.2, 56.0, -70.1, 61.3])
    for max_iter, steps in ((2000, 1), (20, 100)):
        x = nn.Parameter(start.clone())
        optimizer = optim.LBFGS([x], max_iter=max_iter)
        for _ in range(steps):
            optimizer.step(closing(optimizer, lambda x=x: rosenbrock(x)))
        # The second minimum of six dimensions has a loss of about 3.97.
        assert rosenbrock(x.detach()).item() == pytest.approx(0.0, abs=1e-6) or rosenbrock(
            x.detach()
        ).item() == pytest.approx(3.97, abs=0.02)


def test_a_small_loss_is_not_taken_for_a_minimum() -> None:
    for kind, low in ((torch.optim.LBFGS, False), (optim.LBFGS, True)):
        x = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=F64))
        own = {"tolerance_grad": 1e-16, "max_iter": 500}
        optimizer = kind([x], **own) if low else kind([x], line_search_fn="strong_wolfe", **own)
        optimizer.step(closing(optimizer, lambda x=x: 1e-10 * rosenbrock(x)))
        assert (rosenbrock(x.detach()).item() < 1e-6) == low


@pytest.mark.slow
def test_noise_and_losses_that_are_not_finite_leave_the_parameters_finite() -> None:
    """pytorch/pytorch issue 5953: with a noisy loss, or one that overflows, L-BFGS became NaN and stayed so."""
    rng = torch.Generator().manual_seed(0)

    def noisy(x: Tensor) -> Tensor:
        return rosenbrock(x) + x @ torch.randn(x.shape, generator=rng)

    def steep(x: Tensor) -> Tensor:
        return (x.exp().exp() - 3 * x).sum()

    for loss in (noisy, steep):
        x = nn.Parameter(torch.full((4,), -3.0))
        optimizer = optim.LBFGS([x], max_iter=20)
        for _ in range(15):
            optimizer.step(closing(optimizer, lambda x=x, loss=loss: loss(x)))
        assert bool(torch.isfinite(x).all())
    theirs = nn.Parameter(torch.full((4,), -3.0))
    other = torch.optim.LBFGS([theirs], line_search_fn="strong_wolfe")
    for _ in range(15):
        other.step(closing(other, lambda: steep(theirs)))
    assert bool(theirs.isnan().any())
    x = nn.Parameter(torch.full((4,), 1.0))
    optimizer = optim.LBFGS([x])
    value = optimizer.step(closing(optimizer, lambda: (x * math.inf).sum()))
    assert not math.isfinite(float(value))
    assert torch.equal(x.detach(), torch.ones(4))


@pytest.mark.parametrize("kind", ["LBFGS", "BFGS"])
def test_a_loaded_state_goes_on_with_the_same_bits(kind: str) -> None:
    def made(start: Tensor) -> tuple[nn.Parameter, Any]:
        x = nn.Parameter(start.clone())
        return x, getattr(optim, kind)([x], max_iter=3)

    x, optimizer = made(torch.tensor([-1.2, 1.0, 0.5]))
    for _ in range(3):
        optimizer.step(closing(optimizer, lambda: rosenbrock(x)))
    buffer = io.BytesIO()
    torch.save(optimizer.state_dict(), buffer)
    buffer.seek(0)
    twin, other = made(x.detach())
    other.load_state_dict(torch.load(buffer, weights_only=True))
    copied_x, copied = copy.deepcopy((x, optimizer))
    for _ in range(3):
        optimizer.step(closing(optimizer, lambda: rosenbrock(x)))
        other.step(closing(other, lambda: rosenbrock(twin)))
        copied.step(closing(copied, lambda: rosenbrock(copied_x)))
    assert torch.equal(x, twin)
    assert torch.equal(x, copied_x)


def test_no_pair_spans_two_batches() -> None:
    x = nn.Parameter(torch.tensor([3.0], dtype=F64))
    optimizer = optim.LBFGS([x], max_iter=1)
    optimizer.step(closing(optimizer, lambda: 0.5 * (x**2).sum()))
    optimizer.step(closing(optimizer, lambda: 2.0 * ((x - 9) ** 2).sum()))
    pairs = optimizer.state[x]["pairs"]
    ratios = (
        (pairs[10:12] / pairs[:2]).flatten().tolist()
    )  # change of the gradient over step: the second derivative
    assert ratios == pytest.approx([1.0, 4.0])


def test_max_eval_bounds_the_evaluations_of_a_step() -> None:
    x = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=F64))
    optimizer = optim.LBFGS([x], max_iter=100, max_eval=7)
    optimizer.step(closing(optimizer, lambda: rosenbrock(x)))
    assert optimizer.num_evaluations <= 8  # one more, to go back to the lowest point


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"max_iter": 0}, "max_iter = 0"),
        ({"history_size": 0}, "history_size = 0: must be a whole number"),
        ({"max_iter": 2.5}, "max_iter = 2.5: must be a whole number"),
        ({"c1": 0.95}, "0 < c1 < c2 < 1"),
        ({"tolerance_grad": -1.0}, "tolerance_grad = -1.0"),
        ({"max_eval": 0}, "max_eval = 0"),
    ],
)
def test_arguments_out_of_range_are_refused(own: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        optim.LBFGS([nn.Parameter(torch.zeros(2))], **own)


def test_what_cannot_be_done_is_said() -> None:
    a, b = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2, dtype=F64))
    with pytest.raises(ValueError, match="parameter groups; only 1"):
        optim.LBFGS([{"params": [a]}, {"params": [b]}])
    with pytest.raises(ValueError, match="one dtype"):
        optim.BFGS([a, b])
    with pytest.raises(RuntimeError, match="with its graph"):
        optim.Newton([a]).step(lambda: (a**2).sum().detach())
    for kind in (optim.LBFGS, optim.BFGS):
        with pytest.raises(TypeError, match="the closure must return the loss, one number, not NoneType"):
            kind([a]).step(lambda: None)
        with pytest.raises(TypeError, match="one number, not a tensor of 2 numbers"):
            kind([a]).step(lambda: a**2)
    table = nn.Embedding(5, 2, sparse=True)
    with pytest.raises(RuntimeError, match="Newton does not support sparse gradients"):
        optim.Newton(table.parameters()).step(lambda: table(torch.tensor([1])).square().sum())
    many = nn.Parameter(torch.empty(11_000_000, device="cpu"))
    for kind in (optim.BFGS, optim.Newton):
        with pytest.raises(ModelError, match="484 TB"):
            kind([many])


def test_a_state_of_another_optimizer_is_refused_and_changes_nothing() -> None:
    x = nn.Parameter(torch.zeros(2))
    for theirs in (torch.optim.LBFGS([x]), torch.optim.Adam([x])):
        optimizer = optim.LBFGS([x], max_iter=7)
        with pytest.raises(ValueError, match="LBFGS: a state of another optimizer: its group lacks"):
            optimizer.load_state_dict(theirs.state_dict())
        assert optimizer.param_groups[0]["max_iter"] == 7


@pytest.mark.parametrize("kind", ["LBFGS", "BFGS"])
def test_sparse_gradients_are_made_dense(kind: str) -> None:
    table = nn.Embedding(4, 2, sparse=True)
    optimizer = getattr(optim, kind)(table.parameters())

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (table(torch.tensor([1])) - 1.0).square().sum()
        loss.backward()
        return loss

    before = table.weight[[0, 2, 3]].detach().clone()
    optimizer.step(closure)
    torch.testing.assert_close(table.weight[1].detach(), torch.ones(2), rtol=0.0, atol=1e-5)
    assert torch.equal(table.weight[[0, 2, 3]].detach(), before)


@pytest.mark.parametrize("name", ["line_search", "history", "dense"])
def test_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"ravine.second.{name}")).failed == 0


def test_the_pages_example_runs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "second.md").read_text(encoding="utf-8")
    code, _ = re.findall(
        r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE
    )  # the other has a test of its own
    exec(compile(code, "docs/second.md", "exec"), {})
