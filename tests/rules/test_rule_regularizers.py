"""Weight decay, L1 and max-norm against torch.optim and against their formulas."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from rules_reference import ON_VECTORS, defaults, penalties, quadratic, walk

from ravine.errors import StudyError
from ravine.rules import REGULARIZERS, Rule, decays, hyper_names, preset, regularize, rule

ROUNDING = 1e-12
LRS = 0.02 * (1.2 + np.cos(np.linspace(0.0, 9.0, 200)))


def start() -> torch.Tensor:
    return torch.from_numpy(quadratic(1, 8)[0])


def gradient(x: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(quadratic(1, 8)[1]) * x + 0.1 * torch.sin(3.0 * x)


def path_of(named: Rule, hypers: dict[str, float], mask: torch.Tensor | None = None) -> torch.Tensor:
    return torch.stack(walk(named, start(), gradient, LRS, {**defaults(named), **hypers}, mask))


def torch_path(optimizer_of) -> torch.Tensor:
    param = torch.nn.Parameter(start().clone())
    optimizer, path = optimizer_of([param]), []
    for lr in LRS:
        for group in optimizer.param_groups:
            group["lr"] = float(lr)
        param.grad = gradient(param.detach())
        optimizer.step()
        path.append(param.detach().clone())
    return torch.stack(path)


COUPLED = {
    "sgd": lambda p: torch.optim.SGD(p, weight_decay=0.3),
    "momentum": lambda p: torch.optim.SGD(p, momentum=0.9, weight_decay=0.3),
    "nesterov_torch": lambda p: torch.optim.SGD(p, momentum=0.9, nesterov=True, weight_decay=0.3),
    "adagrad": lambda p: torch.optim.Adagrad(p, weight_decay=0.3),
    "rmsprop": lambda p: torch.optim.RMSprop(p, weight_decay=0.3),
    "adam": lambda p: torch.optim.Adam(p, weight_decay=0.3),
}


@pytest.mark.parametrize("kind", sorted(COUPLED))
def test_coupled_decay_is_torch_optims(kind: str) -> None:
    named = regularize(rule(kind), {"weight_decay"})
    ours = path_of(named, {**preset(kind, "torch")[1], "weight_decay": 0.3})
    torch.testing.assert_close(ours, torch_path(COUPLED[kind]), rtol=0.0, atol=ROUNDING)


def test_decoupled_decay_of_adam_is_adamw() -> None:
    named = regularize(rule("adam"), {"decoupled_weight_decay"})
    ours = path_of(named, {"eps": 1e-8, "decoupled_weight_decay": 0.3})
    torch.testing.assert_close(
        ours, torch_path(lambda p: torch.optim.AdamW(p, weight_decay=0.3)), rtol=0.0, atol=ROUNDING
    )
    assert torch.equal(ours, path_of(rule("adamw"), {"eps": 1e-8, "weight_decay": 0.3}))


def test_adamws_own_decay_is_not_added_a_second_time() -> None:
    assert regularize(rule("adamw"), {"weight_decay"}) is rule("adamw")


def test_for_sgd_coupled_and_decoupled_decay_are_one() -> None:
    coupled = path_of(regularize(rule("sgd"), {"weight_decay"}), {"weight_decay": 0.3})
    decoupled = path_of(regularize(rule("sgd"), {"decoupled_weight_decay"}), {"decoupled_weight_decay": 0.3})
    torch.testing.assert_close(coupled, decoupled, rtol=0.0, atol=ROUNDING)


def test_for_adam_they_are_not() -> None:
    coupled = path_of(regularize(rule("adam"), {"weight_decay"}), {"weight_decay": 0.3})
    decoupled = path_of(regularize(rule("adam"), {"decoupled_weight_decay"}), {"decoupled_weight_decay": 0.3})
    assert float((coupled - decoupled).abs().max()) > 0.1


@pytest.mark.parametrize("kind", sorted(set(ON_VECTORS) - {"adamw", "lion", "schedule_free_adamw"}))
def test_coupled_penalties_are_the_penaltys_gradient(kind: str) -> None:
    """On every rule: the elastic net is the same as training on the loss with the penalty in it."""
    named = regularize(rule(kind), {"weight_decay", "l1"})
    penalized = torch.stack(
        walk(
            rule(kind),
            start(),
            lambda x: gradient(x) + 0.2 * x + 0.05 * torch.sign(x),
            LRS,
            defaults(rule(kind)),
        )
    )
    ours = path_of(named, {"weight_decay": 0.2, "l1": 0.05})
    torch.testing.assert_close(ours, penalized, rtol=0.0, atol=1e-11)


@pytest.mark.parametrize("kind", [kind for kind in ON_VECTORS if "decoupled_weight_decay" in penalties(kind)])
def test_one_decoupled_step_is_the_rules_step_and_a_shrinkage(kind: str) -> None:
    named = regularize(rule(kind), {"decoupled_weight_decay"})
    plain = walk(rule(kind), start(), gradient, LRS[:1], defaults(rule(kind)))[0]
    decayed = walk(named, start(), gradient, LRS[:1], {**defaults(named), "decoupled_weight_decay": 0.3})[0]
    torch.testing.assert_close(decayed, plain - LRS[0] * 0.3 * start(), rtol=0.0, atol=1e-14)


def test_a_penalty_that_a_rule_refuses() -> None:
    with pytest.raises(StudyError) as raised:
        regularize(rule("schedule_free_adamw"), {"max_norm"})
    assert str(raised.value) == (
        "schedule_free_adamw: max_norm would act on the point that is trained, not on the one that is deployed"
    )
    assert "max_norm" not in hyper_names("schedule_free_adamw")


def test_l1_leaves_a_weight_of_zero_alone() -> None:
    named = regularize(rule("sgd"), {"l1"})
    x = torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64)
    moved = walk(named, x, torch.zeros_like, np.array([0.5]), {"l1": 0.1})[0]
    assert moved.tolist() == [0.0, 0.95, -0.95]


@pytest.mark.parametrize("kind", ON_VECTORS)
def test_masked_weights_are_the_unregularized_rules(kind: str) -> None:
    active = set(penalties(kind)) - {"max_norm"}
    mask = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    strengths = dict.fromkeys(active, 0.3)
    named = regularize(rule(kind), active)
    assert set(named.decays) == active | ({"weight_decay"} & named.hypers.keys())
    masked, full = path_of(named, strengths, mask), path_of(named, strengths, torch.tensor(1.0))
    none = path_of(named, {**dict.fromkeys(active, 0.0), "weight_decay": 0.0})
    assert torch.equal(masked[:, 1::2], none[:, 1::2])
    assert torch.equal(masked[:, ::2], full[:, ::2])
    assert torch.equal(full, path_of(named, strengths))
    assert not torch.equal(masked[:, ::2], none[:, ::2])


@pytest.mark.parametrize("kind", sorted(set(ON_VECTORS) - {"adamw"}))
def test_at_0_they_change_no_bit(kind: str) -> None:
    """So a run's weights don't depend on whether a neighbour in its cohort is regularized."""
    x = torch.randn(6, 5, generator=torch.Generator().manual_seed(3))
    off = walk(rule(kind), x, torch.sin, LRS[:50], defaults(rule(kind)))
    on = walk(
        regularize(rule(kind), penalties(kind)),
        x,
        torch.sin,
        LRS[:50],
        defaults(rule(kind)) | dict.fromkeys(REGULARIZERS, 0.0),
    )
    assert all(torch.equal(a, b) for a, b in zip(off, on, strict=True))


@pytest.mark.parametrize("shape", [(4, 6), (4, 3, 2, 2)])
def test_max_norm_projects_each_units_incoming_weights(shape: tuple[int, ...]) -> None:
    named = regularize(rule("sgd"), {"max_norm"})
    assert named.scope == "tensor"
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=torch.float64) * torch.tensor(
        [0.1, 0.5, 2.0, 0.0]
    ).view(4, *[1] * (len(shape) - 1))
    grad = torch.randn(shape, generator=generator, dtype=torch.float64) * 0.1
    grad[3] = 0.0
    moved = walk(named, x, lambda x: grad, np.array([0.5]), {"max_norm": 0.8})[0]
    for unit, (before, after) in enumerate(zip(x - 0.5 * grad, moved, strict=True)):
        length = float(np.linalg.norm(before.numpy().ravel()))
        expected = before * (0.8 / length) if length > 0.8 else before
        torch.testing.assert_close(after, expected, rtol=0.0, atol=1e-14, msg=f"unit {unit}")
    renormed = torch.renorm(x - 0.5 * grad, p=2, dim=0, maxnorm=0.8)
    torch.testing.assert_close(moved, renormed, rtol=1e-6, atol=0.0)  # torch adds 1e-7 to the norm


@pytest.mark.parametrize("limit", [0.0, float("inf")])
def test_max_norm_off(limit: float) -> None:
    x = 100.0 * torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    plain = walk(rule("momentum"), x, torch.sin, LRS[:5], {"rho": 0.9})
    named = regularize(rule("momentum"), {"max_norm"})
    limited = walk(named, x, torch.sin, LRS[:5], {"rho": 0.9, "max_norm": limit})
    assert all(torch.equal(a, b) for a, b in zip(plain, limited, strict=True))


def test_max_norm_leaves_biases_alone() -> None:
    named = regularize(rule("sgd"), {"max_norm"})
    x = torch.tensor([3.0, 4.0])
    assert walk(named, x, torch.zeros_like, np.array([0.1]), {"max_norm": 1.0})[0].tolist() == [3.0, 4.0]


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("0.weight", (64, 32), True),
        ("conv.weight", (8, 3, 3, 3), True),
        ("0.bias", (64,), False),
        ("norm.weight", (64,), False),
        ("scale", (), False),
        ("norm.bias", (8, 8), False),
    ],
)
def test_biases_and_norms_dont_decay(name: str, shape: tuple[int, ...], expected: bool) -> None:
    assert decays(name, shape) is expected


def test_a_pattern_of_the_users_replaces_that() -> None:
    assert not decays("head.weight", (3, 3), exclude=r"^head\.")
    assert decays("head.bias", (3,), exclude=r"weight$")
    assert decays("anything.bias", (3,), exclude="")


def test_errors() -> None:
    with pytest.raises(StudyError, match=re.escape("exclude = '(': must be a regular expression: missing )")):
        decays("a", (3, 3), exclude="(")
    message = "adam: unknown regularizer 'l2': allowed: decoupled_weight_decay, l1, max_norm, weight_decay"
    with pytest.raises(StudyError) as raised:
        regularize(rule("adam"), {"l2"})
    assert str(raised.value) == message


def test_max_norm_is_refused_where_shapes_are_gone() -> None:
    flat = Rule(
        name="flat",
        hypers=rule("sgd").hypers,
        init=rule("sgd").init,
        update=rule("sgd").update,
        source="this test",
        scope="run",
    )
    with pytest.raises(StudyError) as raised:
        regularize(flat, {"max_norm"})
    assert str(raised.value) == "flat: max_norm needs each parameter's shape, and flat sees one flat vector"
