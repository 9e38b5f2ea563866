"""Each rule against its formula in NumPy, against torch.optim and against Optax."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rules_reference import ON_VECTORS, REFERENCE, defaults, quadratic, walk

from ravine.rules import preset, regularize, rule

# 200 steps of float64 rounding on numbers of size 1; the two sides group the same operations differently.
ROUNDING = 1e-12
NUM_STEPS = 200
CHANGING_LR = 0.02 * (1.2 + np.cos(np.linspace(0.0, 9.0, NUM_STEPS)))
CONSTANT_LR = np.full(NUM_STEPS, 0.02)


def torch_gradient(x: torch.Tensor) -> torch.Tensor:
    """The gradient of `quadratic` with 7 weights, in torch."""
    return torch.from_numpy(quadratic(0, 7)[1]) * x + 0.1 * torch.sin(3.0 * x)


def farthest(ours: list[torch.Tensor], theirs: list[np.ndarray]) -> float:
    assert len(ours) == len(theirs)
    return max(float(np.abs(a.numpy() - b).max()) for a, b in zip(ours, theirs, strict=True))


def ours(kind: str, lrs: np.ndarray, hypers: dict[str, float]) -> list[torch.Tensor]:
    return walk(rule(kind), torch.from_numpy(quadratic(0, 7)[0]), torch_gradient, lrs, hypers)


def theirs(kind: str, lrs: np.ndarray, hypers: dict[str, float]) -> list[np.ndarray]:
    start, _, gradient = quadratic(0, 7)
    return REFERENCE[kind](start, gradient, lrs, hypers)


def test_every_rule_has_a_reference() -> None:
    assert set(REFERENCE) == set(ON_VECTORS)


@pytest.mark.parametrize("kind", ON_VECTORS)
def test_formula_over_200_steps_with_changing_lr(kind: str) -> None:
    hypers = defaults(rule(kind))
    assert farthest(ours(kind, CHANGING_LR, hypers), theirs(kind, CHANGING_LR, hypers)) <= ROUNDING


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_adam_without_bias_correction(kind: str) -> None:
    hypers = {**defaults(rule(kind)), "bias_correction": 0.0}
    assert farthest(ours(kind, CHANGING_LR, hypers), theirs(kind, CHANGING_LR, hypers)) <= ROUNDING


UNIT = st.floats(0.0, 0.9999)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(ON_VECTORS),
    rates=st.tuples(UNIT, UNIT),
    eps=st.floats(1e-12, 1.0),
    lr=st.floats(1e-6, 0.1),
    switch=st.sampled_from([0.0, 1.0]),
)
def test_formula_anywhere_in_the_ranges(
    kind: str, rates: tuple[float, float], eps: float, lr: float, switch: float
) -> None:
    drawn = {
        "rho": rates[0],
        "decay": rates[0],
        "beta1": rates[0],
        "beta2": rates[1],
        "eps": eps,
        "weight_decay": 0.1,
        "bias_correction": switch,
        "momentum_decay": rates[1],
    }
    hypers = {name: value for name, value in drawn.items() if name in rule(kind).hypers}
    lrs = np.full(20, lr)
    path = theirs(kind, lrs, hypers)
    # relative to the path: with a large rho or a beta2 near beta1 = 0 the points are far from 1
    size = max(1.0, *(float(np.abs(x).max()) for x in path))
    assert farthest(ours(kind, lrs, hypers), path) <= 1e-11 * size


TORCH = {
    "sgd": lambda p, h: torch.optim.SGD(p, lr=1.0),
    "momentum": lambda p, h: torch.optim.SGD(p, lr=1.0, momentum=h["rho"]),
    "nesterov": lambda p, h: torch.optim.SGD(p, lr=1.0, momentum=h["rho"], nesterov=True),
    "nesterov_lookahead": lambda p, h: torch.optim.SGD(p, lr=1.0, momentum=h["rho"], nesterov=True),
    "nesterov_torch": lambda p, h: torch.optim.SGD(p, lr=1.0, momentum=h["rho"], nesterov=True),
    "adagrad": lambda p, h: torch.optim.Adagrad(p),
    "rmsprop": lambda p, h: torch.optim.RMSprop(p),
    "adam": lambda p, h: torch.optim.Adam(p),
    "adamw": lambda p, h: torch.optim.AdamW(p),
    "nadam": lambda p, h: torch.optim.NAdam(p),
}


def torch_path(optimizer_of, hypers: dict[str, float], lrs: np.ndarray) -> list[np.ndarray]:
    param = torch.nn.Parameter(torch.from_numpy(quadratic(0, 7)[0]).clone())
    optimizer = optimizer_of([param], hypers)
    path = []
    for lr in lrs:
        for group in optimizer.param_groups:
            group["lr"] = float(lr)
        param.grad = torch_gradient(param.detach())
        optimizer.step()
        path.append(param.detach().clone().numpy())
    return path


NOT_IN_TORCH = {"lion", "schedule_free_adamw"}


@pytest.mark.parametrize("asked", sorted(TORCH))
def test_torch_preset_equals_torch_optim(asked: str) -> None:
    kind, hypers = preset(asked, "torch")
    hypers.pop("lr", None)
    torch.set_default_dtype(torch.float64)  # of the product that torch.optim.NAdam keeps
    try:
        path = torch_path(TORCH[asked], hypers, CHANGING_LR)
    finally:
        torch.set_default_dtype(torch.float32)
    assert farthest(ours(kind, CHANGING_LR, hypers), path) <= ROUNDING


def test_every_rule_is_compared_with_torch() -> None:
    assert set(TORCH) | NOT_IN_TORCH == set(ON_VECTORS)


@pytest.mark.parametrize(
    "kind", ["momentum", "nesterov_torch", "adagrad", "rmsprop", "adam", "adamw", "lion"]
)
def test_optax_has_the_same_rule(kind: str) -> None:
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    hypers = {name: value for name, value in preset(kind)[1].items() if name != "lr"}
    lr = 0.02
    with jax.enable_x64(True):
        made = {
            "momentum": lambda: optax.sgd(lr, momentum=hypers["rho"]),
            "nesterov_torch": lambda: optax.sgd(lr, momentum=hypers["rho"], nesterov=True),
            "adagrad": lambda: optax.adagrad(lr, initial_accumulator_value=0.0, eps=0.0),
            "rmsprop": lambda: optax.rmsprop(lr, decay=hypers["decay"], eps=hypers["eps"], eps_in_sqrt=False),
            "adam": lambda: optax.adam(lr, eps=hypers["eps"]),
            "adamw": lambda: optax.adamw(lr, eps=hypers["eps"], weight_decay=hypers["weight_decay"]),
            "lion": lambda: optax.lion(lr, b1=0.9, b2=0.99, weight_decay=0.0),
        }[kind]()
        start, _, gradient = quadratic(0, 7)
        x = jax.numpy.asarray(start)
        state, path = made.init(x), []
        for _ in range(50):
            update, state = made.update(jax.numpy.asarray(gradient(np.asarray(x))), state, x)
            x = optax.apply_updates(x, update)
            path.append(np.asarray(x))
    # Optax puts AdaGrad's eps inside the root: compared at 0, where both are the same
    given = {**hypers, "eps": 0.0} if kind == "adagrad" else hypers
    assert farthest(ours(kind, np.full(50, lr), given), path) <= ROUNDING


def test_optax_has_the_same_schedule_free_adamw() -> None:
    jax = pytest.importorskip("jax")
    contrib = pytest.importorskip("optax.contrib")
    hypers = {**preset("schedule_free_adamw")[1], "weight_decay": 0.1}
    hypers.pop("lr")
    with jax.enable_x64(True):
        made = contrib.schedule_free_adamw(
            0.02, b1=hypers["beta1"], b2=hypers["beta2"], eps=hypers["eps"], weight_decay=0.1
        )
        start, _, gradient = quadratic(0, 7)
        y = jax.numpy.asarray(start)
        state, path, deployed = made.init(y), [], []
        for _ in range(50):
            update, state = made.update(jax.numpy.asarray(gradient(np.asarray(y))), state, y)
            y = y + update
            path.append(np.asarray(y))
            deployed.append(np.asarray(contrib.schedule_free_eval_params(state, y)))
    lrs = np.full(50, 0.02)
    assert farthest(ours("schedule_free_adamw", lrs, hypers), path) <= ROUNDING
    assert farthest(true_points(lrs, "schedule_free_adamw", hypers), deployed) <= ROUNDING


def test_the_three_nesterovs_are_one_at_constant_lr() -> None:
    hypers = {"rho": 0.9}
    shifted, torchs = ours("nesterov", CONSTANT_LR, hypers), ours("nesterov_torch", CONSTANT_LR, hypers)
    assert farthest(shifted, [x.numpy() for x in torchs]) <= ROUNDING
    assert farthest(true_points(CONSTANT_LR), theirs("nesterov_lookahead", CONSTANT_LR, hypers)) <= ROUNDING


def test_with_a_changing_lr_only_the_first_two_stay_one() -> None:
    hypers = {"rho": 0.9}
    lookahead = theirs("nesterov_lookahead", CHANGING_LR, hypers)
    assert farthest(true_points(CHANGING_LR), lookahead) <= ROUNDING
    torchs = ours("nesterov_torch", CHANGING_LR, hypers)
    assert farthest(ours("nesterov", CHANGING_LR, hypers), [x.numpy() for x in torchs]) > 1e-3


def test_only_torchs_nesterov_stops_at_once_when_lr_becomes_0() -> None:
    lrs = np.array([0.1, 0.1, 0.0])
    moved = {kind: ours(kind, lrs, {"rho": 0.9}) for kind in ("nesterov", "nesterov_torch")}
    assert torch.equal(moved["nesterov_torch"][1], moved["nesterov_torch"][2])
    assert not torch.equal(moved["nesterov"][1], moved["nesterov"][2])


def true_points(
    lrs: np.ndarray, kind: str = "nesterov", hypers: Mapping[str, float] = {"rho": 0.9}
) -> list[torch.Tensor]:
    """The points to deploy, along a run: of nesterov x = x~ - rho v."""
    named = rule(kind)
    h = {name: torch.tensor(value, dtype=torch.float64) for name, value in hypers.items()}
    x = torch.from_numpy(quadratic(0, 7)[0])
    state, path = named.init(x), []
    for step, lr in enumerate(lrs):
        h["lr"] = torch.tensor(lr)
        update, state = named.update(torch_gradient(x), state, x, h, torch.tensor(step + 1.0))
        x = x + update
        assert named.deployed is not None
        path.append(named.deployed(x, state, h))
    return path


def strides(kind: str, hypers: dict[str, float], num_steps: int) -> list[float]:
    """Length of each step in units of lr, under a gradient that is always 1."""
    start = torch.zeros(1, dtype=torch.float64)
    path = [start, *walk(rule(kind), start, torch.ones_like, np.ones(num_steps), {**hypers, "eps": 1e-30})]
    return [float((a - b).item()) for a, b in itertools.pairwise(path)]


def test_adam_starts_with_steps_of_lr() -> None:
    assert strides("adam", defaults(rule("adam")), 30) == pytest.approx([1.0] * 30, rel=1e-12)


def test_adam_without_bias_correction_starts_with_far_too_long_steps() -> None:
    lengths = strides("adam", {**defaults(rule("adam")), "bias_correction": 0.0}, 40)
    closed = [(1.0 - 0.9**t) / math.sqrt(1.0 - 0.999**t) for t in range(1, 41)]
    assert lengths == pytest.approx(closed, rel=1e-12)
    assert lengths[0] == pytest.approx(3.16, abs=0.005)
    assert int(np.argmax(lengths)) + 1 == 12
    assert lengths[11] == pytest.approx(6.57, abs=0.005)


@pytest.mark.parametrize(("decay", "length"), [(0.9, 3.16), (0.99, 10.0), (0.999, 31.6)])
def test_rmsprops_first_step(decay: float, length: float) -> None:
    first = strides("rmsprop", {"decay": decay}, 1)[0]
    assert first == pytest.approx(1.0 / math.sqrt(1.0 - decay), rel=1e-12)
    assert first == pytest.approx(length, abs=0.05)


def test_adagrads_steps_die_away_as_one_over_root_t() -> None:
    assert strides("adagrad", {}, 100) == pytest.approx(
        [1.0 / math.sqrt(t) for t in range(1, 101)], rel=1e-12
    )


def test_adam_in_float32_keeps_its_bias_correction() -> None:
    """1 - beta2^t from float32's pow is off by 1e-5 at t = 1; ours stays at float32's rounding of beta2."""
    beta2 = torch.tensor(0.999, dtype=torch.float32)
    given = {n: torch.tensor(v, dtype=torch.float32) for n, v in preset("adam")[1].items()}
    for t in (1.0, 2.0, 10.0, 1e3, 1e5):
        grad = torch.ones(1)
        state = {"mean": grad, "squares": grad}
        update, _ = rule("adam").update(grad, state, grad, given, torch.tensor(t))
        exact = -1e-3 / (1.0 - 0.9**t) * math.sqrt(-math.expm1(t * math.log(float(beta2))))
        assert update.item() == pytest.approx(exact, rel=5e-7)


@pytest.mark.parametrize("kind", ON_VECTORS)
def test_a_step_with_lr_0_is_no_step(kind: str) -> None:
    """A warm-up or a schedule may pass through 0; weights with no gradient must not become 0/0."""
    start = torch.tensor([1.0, -2.0, 0.0], dtype=torch.float64)
    path = walk(rule(kind), start, torch.zeros_like, np.array([0.0, 0.1, 0.0]), defaults(rule(kind)))
    assert torch.equal(path[0], start)
    assert all(bool(torch.isfinite(x).all()) for x in path)


@pytest.mark.parametrize("kind", ["rmsprop", "adam", "adamw"])
def test_a_squared_gradient_beyond_float32_shows_as_divergence(kind: str) -> None:
    """torch.optim would keep the weight where it is, for good and unseen."""
    grads = iter([1e25, 1.0])
    x = torch.zeros(1)
    path = walk(
        rule(kind), x, lambda x: torch.full_like(x, next(grads)), np.full(2, 0.1), defaults(rule(kind))
    )
    assert bool(path[-1].isnan())


@pytest.mark.parametrize("kind", ON_VECTORS)
def test_regularized_by_nothing_is_the_rule_itself(kind: str) -> None:
    assert regularize(rule(kind), ()) is rule(kind)
