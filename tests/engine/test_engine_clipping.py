"""Clipping of gradients, by the run's own limit, on every backend."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from engine_runs import (
    FUSED,
    NATIVE,
    PLAIN,
    SERIAL,
    Trained,
    all_runs,
    compiling,
    network_of,
    same,
    study,
    train,
)
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.errors import StudyError
from ravine.rules.clip import clipped
from ravine.study import Run, Study

WAYS = [NATIVE, *(pytest.param(way, marks=pytest.mark.slow) for way in (FUSED, SERIAL, PLAIN))]
RULES = (
    {"kind": "adam", "lr": 0.01},
    {"kind": "lion", "lr": 0.003},
    {"kind": "muon", "lr": 0.003},
    {"kind": "nesterov_lookahead", "lr": 0.05},
    {"kind": "schedule_free_adamw", "lr": 0.01},
    {"kind": "sgd", "lr": 0.1, "weight_decay": 0.1, "noise": 0.01},
)


def limited(num: int = len(RULES), **limits: object) -> Study:
    return study(rules=[{**rule, **limits} for rule in RULES[:num]], seeds=1, steps=6, evaluations=2)


def trained(study_: Study, runs: list[Run], backend: str) -> list[Trained]:
    groups = [runs] if backend in (NATIVE, FUSED) else [[run] for run in runs]
    return [train(study_, group, backend) for group in groups]


def weights(found: list[Trained], run: Run) -> dict[str, np.ndarray]:
    return next(each for each in found if run.id in each.finished.runs).weights(run)


@pytest.mark.parametrize("backend", WAYS)
def test_a_limit_that_is_off_or_not_reached_leaves_every_bit(backend: str) -> None:
    """Also beside runs that are clipped, whose program is another."""
    num = 2 if backend == NATIVE else len(RULES)
    plain = limited(num)
    expected = trained(plain, all_runs(plain), backend)
    for limits in ({"clip_norm": [0.0, 0.05]}, {"clip_value": [0.0, 0.01], "clip_norm": [0.0, 1e6]}):
        made = limited(num, **limits)
        found = trained(made, all_runs(made), backend)
        off = [run for run in all_runs(made) if not run.recipe.hypers.get("clip_value")]
        off = [run for run in off if run.recipe.hypers.get("clip_norm", 0.0) in (0.0, 1e6)]
        assert len(off) == num * (1 if "clip_value" not in limits else 2)
        for run in off:
            twin = next(each for each in all_runs(plain) if each.label == run.label)
            assert run.recipe.hypers.get("clip_norm") or run.id == twin.id
            ours, theirs = weights(found, run), weights(expected, twin)
            for name in ours:
                np.testing.assert_array_equal(ours[name], theirs[name], err_msg=f"{run.label} {name}")


@pytest.mark.parametrize("backend", WAYS[:2])
def test_runs_alone_are_the_cohort(backend: str) -> None:
    """https://github.com/le2333/RTRRL/issues/86: limits of members must not meet under vmap."""
    made = limited(2, clip_norm=[0.0, 0.05, 0.3])
    together = train(made, backend=backend)
    for run in all_runs(made)[::2]:
        same(train(made, [run], backend), together, run)


@pytest.mark.parametrize("backend", WAYS)
@pytest.mark.parametrize("radius", [0.0, 0.1])
def test_three_steps_are_those_of_torch(backend: str, radius: float) -> None:
    """SGD in float64; the value is limited first, then the length, and weight decay comes after both."""
    limits = {"clip_value": [0.0, 0.02], "clip_norm": [0.0, 0.1]}
    rule = {"kind": "sgd", "lr": 0.5, "weight_decay": 0.1, "exclude": "", "sam_radius": radius, **limits}
    made = study(rules=[rule], seeds=1, steps=3, batch_size="full")
    results = trained(made, all_runs(made), backend)
    for run in all_runs(made):
        h = run.recipe.hypers
        module = network_of(made, [run]).make().double()
        start = network_of(made, [run]).initial(run.seed)
        module.load_state_dict({name: value.double() for name, value in start.items()})
        params = list(module.parameters())
        x = torch.from_numpy(made.data.train.x).double()  # type: ignore[union-attr]
        y = torch.from_numpy(made.data.train.y)  # type: ignore[union-attr]
        for _ in range(3):
            grads = torch.autograd.grad(F.cross_entropy(module(x), y), params)
            if radius:
                length = torch.cat([grad.flatten() for grad in grads]).norm()
                before = [param.detach().clone() for param in params]
                with torch.no_grad():
                    for param, grad in zip(params, grads, strict=True):
                        param += radius * grad / length
                grads = torch.autograd.grad(F.cross_entropy(module(x), y), params)
                with torch.no_grad():
                    for param, old in zip(params, before, strict=True):
                        param.copy_(old)
            for param, grad in zip(params, grads, strict=True):
                param.grad = grad
            if h.get("clip_value"):
                nn.utils.clip_grad_value_(params, h["clip_value"])
            if h.get("clip_norm"):
                nn.utils.clip_grad_norm_(params, h["clip_norm"])
            with torch.no_grad():
                for param in params:
                    param -= 0.5 * (param.grad + 0.1 * param)
        found = weights(results, run)
        for name, value in module.state_dict().items():
            # torch divides by the length + 1e-6
            np.testing.assert_allclose(found[name], value.numpy(), rtol=1e-4, atol=2e-6)


class Root(nn.Module):
    """Its loss is finite at the start, and the gradient of ``root`` is not."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.root = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.root.sqrt()


@pytest.mark.parametrize("backend", WAYS)
@pytest.mark.parametrize("limits", [{"clip_norm": 1.0}, {"clip_value": 1.0}], ids=str)
def test_a_gradient_that_is_not_finite_is_a_divergence(backend: str, limits: dict[str, float]) -> None:
    """https://github.com/pytorch/pytorch/issues/46849: silently, weights become 0 times infinity, or stay."""
    rules = [{"kind": kind, "lr": 0.01, **limits} for kind in ("sgd", "lion", "muon")]
    made = study(model=Root, rules=rules, seeds=1, steps=4, evaluations=2)
    for found in trained(made, all_runs(made), backend):
        assert not found.finished.runs
        assert set(found.finished.diverged.values()) == {1}


def test_lengths_that_float32_cannot_square() -> None:
    for size in (1e-30, 1e25):
        grad = size * torch.tensor([[3.0, 4.0]])
        limit = {"clip_norm": torch.tensor([[5 * size]])}
        same_grad, usable = clipped(grad, limit)
        assert usable.item()
        assert torch.equal(same_grad, grad)  # as long as the limit
        half, _ = clipped(grad, {"clip_norm": torch.tensor([[2.5 * size]])})
        torch.testing.assert_close(half, grad / 2)


def test_zero_and_infinity() -> None:
    found, usable = clipped(torch.zeros(1, 3), {"clip_norm": torch.ones(1, 1)})
    assert torch.equal(found, torch.zeros(1, 3))
    assert usable.item()
    grad = torch.tensor([[1.0, math.inf]] * 2)
    found, usable = clipped(grad, {"clip_norm": torch.tensor([[0.0], [1.0]])})
    assert usable[:, 0].tolist() == [True, False]
    assert torch.equal(found[0], grad[0])


@pytest.mark.parametrize("name", ["clip_norm", "clip_value"])
def test_what_is_refused(name: str) -> None:
    """https://github.com/pytorch/pytorch/issues/31367: a negative bound would turn gradients around."""
    with pytest.raises(StudyError, match=rf"rules.0.{name} = -1.0: must be a finite number of at least 0"):
        study(rules=[{"kind": "sgd", "lr": 0.1, name: -1.0}])
    for kind in ("lbfgs", "bfgs", "newton"):
        with pytest.raises(StudyError, match=rf"rules.0.{name}: not with {kind}"):
            study(rules=[{"kind": kind, name: 1.0}])


@pytest.mark.parametrize(("key", "meant"), [("max_grad_norm", "clip_norm"), ("clipvalue", "clip_value")])
def test_names_of_other_libraries(key: str, meant: str) -> None:
    with pytest.raises(StudyError, match=f"rules.0.{key}: unknown key; did you mean '{meant}'"):
        study(rules=[{"kind": "sgd", "lr": 0.1, key: 1.0}])


def test_a_new_limit_is_no_new_program() -> None:
    made = [study(rules=[{"kind": "adam", "lr": 0.1, "clip_norm": c}], seeds=1, steps=2) for c in (0.1, 0.37)]
    train(made[0], backend=NATIVE)
    with compiling() as texts:
        train(made[1], backend=NATIVE)
    assert not texts
