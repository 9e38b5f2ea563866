"""One definition, every way of running it: plain, vmapped, stacked, traced."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rules_reference import ON_VECTORS, defaults, penalties
from torch.func import vmap
from torch.fx.experimental.proxy_tensor import make_fx

from ravine.rules import Rule, regularize, rule

NUM_STEPS = 12
STRENGTH = {"weight_decay": 0.1, "decoupled_weight_decay": 0.2, "l1": 0.01, "max_norm": 0.5}
VARIANTS = [(kind, ()) for kind in ON_VECTORS] + [(kind, tuple(penalties(kind))) for kind in ON_VECTORS]


def hypers_of_runs(named: Rule, num_runs: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Different hypers for each run, every one of them shape (R,)."""
    spread = torch.linspace(0.5, 1.0, num_runs, dtype=dtype)
    values = {**defaults(named), **{n: v for n, v in STRENGTH.items() if n in named.hypers}, "lr": 0.1}
    made = {name: torch.tensor(value, dtype=dtype) * spread for name, value in values.items()}
    if "bias_correction" in made:
        made["bias_correction"] = (torch.arange(num_runs) % 2).to(dtype)
    return made


def gradients(num_runs: int, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """(S, R, ...): run r's gradients don't depend on how many runs there are."""
    rng = np.random.default_rng(7)
    return torch.from_numpy(rng.normal(size=(64, NUM_STEPS, *shape))[:num_runs]).to(dtype).transpose(0, 1)


def stacked(named: Rule, shape: tuple[int, ...], num_runs: int, dtype: torch.dtype, hypers) -> torch.Tensor:
    """All runs at once under vmap."""
    param = gradients(num_runs, shape, dtype)[0] * 2.0
    state = vmap(named.init)(param)
    step = vmap(named.update, in_dims=(0, 0, 0, 0, None))
    for s, grad in enumerate(gradients(num_runs, shape, dtype)):
        update, state = step(grad, state, param, hypers, torch.tensor(s + 1.0, dtype=dtype))
        param = param + update
    return param


def alone(
    named: Rule, shape: tuple[int, ...], r: int, num_runs: int, dtype: torch.dtype, hypers
) -> torch.Tensor:
    """Run r with plain tensors and 0-d hypers."""
    param = gradients(num_runs, shape, dtype)[0, r] * 2.0
    state = named.init(param)
    own = {name: value[r] for name, value in hypers.items()}
    for s, grad in enumerate(gradients(num_runs, shape, dtype)):
        update, state = named.update(grad[r], state, param, own, torch.tensor(s + 1.0, dtype=dtype))
        param = param + update
    return param


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("kind", "active"), VARIANTS)
def test_vmapped_over_runs_is_run_by_run_to_the_bit(kind: str, active: tuple[str, ...], dtype) -> None:
    named = regularize(rule(kind), active)
    num_runs, shape = 19, (5, 7)
    hypers = hypers_of_runs(named, num_runs, dtype)
    together = stacked(named, shape, num_runs, dtype, hypers)
    assert bool(torch.isfinite(together).all())
    for r in range(num_runs):
        assert torch.equal(together[r], alone(named, shape, r, num_runs, dtype, hypers)), f"run {r}"


@pytest.mark.parametrize("kind", ON_VECTORS)
def test_a_cohorts_size_leaves_a_runs_bits_alone(kind: str) -> None:
    named = rule(kind)
    hypers = hypers_of_runs(named, 64, torch.float32)
    largest = stacked(named, (3, 11), 64, torch.float32, hypers)
    for num_runs in (1, 2, 3, 8, 17, 33):
        few = {name: value[:num_runs] for name, value in hypers.items()}
        assert torch.equal(stacked(named, (3, 11), num_runs, torch.float32, few), largest[:num_runs])


@pytest.mark.parametrize("kind", ON_VECTORS)
def test_stacked_with_a_column_of_hypers(kind: str) -> None:
    named = regularize(rule(kind), set(penalties(kind)) - {"max_norm"})
    dtype, num_runs, size = torch.float64, 6, 35
    hypers = hypers_of_runs(named, num_runs, dtype)
    column = {name: value[:, None] for name, value in hypers.items()}
    param = gradients(num_runs, (size,), dtype)[0] * 2.0
    shapes = {name: (num_runs, size if slot.dim() else 1) for name, slot in named.init(param).items()}
    state = {name: slot.expand(shapes[name]) for name, slot in named.init(param).items()}
    for s, grad in enumerate(gradients(num_runs, (size,), dtype)):
        update, state = named.update(grad, state, param, column, torch.tensor(s + 1.0, dtype=dtype))
        assert update.shape == param.shape
        assert {name: slot.shape for name, slot in state.items()} == shapes
        param = param + update
    assert torch.equal(param, stacked(named, (size,), num_runs, dtype, hypers))


@pytest.mark.parametrize(("kind", "active"), VARIANTS)
def test_pure(kind: str, active: tuple[str, ...]) -> None:
    """Nothing that goes in is changed, and no two slots are one tensor: they are told apart by what they are."""
    named = regularize(rule(kind), active)
    hypers = {name: value[0] for name, value in hypers_of_runs(named, 1, torch.float64).items()}
    grad, param = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    state = {name: slot + 0.5 for name, slot in named.init(param).items()}
    begun = named.init(param).values()
    assert len({id(slot) for slot in begun}) == len(begun)
    before = [
        grad.clone(),
        param.clone(),
        *(s.clone() for s in state.values()),
        *(h.clone() for h in hypers.values()),
    ]
    named.update(grad, state, param, hypers, torch.tensor(3.0, dtype=torch.float64))
    after = [grad, param, *state.values(), *hypers.values()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(("kind", "active"), VARIANTS)
def test_traced_with_other_numbers_is_the_same_program(kind: str, active: tuple[str, ...]) -> None:
    named = regularize(rule(kind), active)
    dtype = torch.float64
    hypers = {name: value[0] for name, value in hypers_of_runs(named, 3, dtype).items()}
    other = {name: value[2] for name, value in hypers_of_runs(named, 3, dtype).items()}
    grad, param = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0), dtype=dtype)
    state = named.init(param)
    traced = make_fx(named.update)(grad, state, param, hypers, torch.tensor(1.0, dtype=dtype))
    t = torch.tensor(5.0, dtype=dtype)
    for got, want in zip(
        torch.utils._pytree.tree_leaves(traced(param, state, grad, other, t)),
        torch.utils._pytree.tree_leaves(named.update(param, state, grad, other, t)),
        strict=True,
    ):
        assert torch.equal(got, want)


# Elementwise passes over the weights per step: what the engine pays for each rule when it runs eagerly.
PASSES = {
    "sgd": 1,
    "momentum": 2,
    "nesterov": 3,
    "nesterov_lookahead": 2,
    "nesterov_torch": 3,
    "adagrad": 5,
    "rmsprop": 6,
    "adam": 7,
    "adamw": 8,
    "nadam": 9,
    "lion": 5,
    "schedule_free_adamw": 11,
}


@pytest.mark.parametrize("kind", ON_VECTORS)
def test_number_of_passes(kind: str) -> None:
    named = rule(kind)
    hypers = {name: value[0] for name, value in hypers_of_runs(named, 1, torch.float32).items()}
    param = torch.ones(10, 10)
    traced = make_fx(named.update)(param, named.init(param), param, hypers, torch.tensor(1.0))
    made = [node for node in traced.graph.nodes if node.op == "call_function"]
    assert sum(node.meta["tensor_meta"].shape == param.shape for node in made) == PASSES[kind]
