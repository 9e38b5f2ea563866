"""Muon as an optimizer: against the rule, and its state against torch.optim's."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ravine.optim import Muon
from ravine.rules import preset, rule

EXACT = 1e-12


def matrices() -> list[nn.Parameter]:
    draws = torch.Generator().manual_seed(0)
    shapes = [(6, 4), (3, 8), (4, 2, 3, 3)]
    return [nn.Parameter(torch.randn(*shape, generator=draws, dtype=torch.float64)) for shape in shapes]


def train(params: list[nn.Parameter], optimizer: torch.optim.Optimizer, steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        sum((param - 0.3).square().sum() for param in params).backward()  # type: ignore[union-attr]
        optimizer.step()


def apart(ours: list[nn.Parameter], theirs: list[Tensor] | list[nn.Parameter]) -> float:
    return max(float((a - b).detach().abs().max()) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("named", ["lecture", "torch"])
def test_same_numbers_as_the_rule(named: Any) -> None:
    ours = matrices()
    train(ours, Muon(ours, 0.02, preset=named), 20)
    formula = [param.detach().clone() for param in matrices()]
    numbers = {
        name: torch.tensor(value, dtype=torch.float64)
        for name, value in {**preset("muon", named)[1], "lr": 0.02}.items()
    }
    for param in formula:
        state = rule("muon").init(param)
        for step in range(20):
            move, state = rule("muon").update(
                2 * (param - 0.3), state, param, numbers, torch.tensor(step + 1.0)
            )
            param += move
    assert apart(ours, formula) < EXACT
    assert apart(ours, matrices()) > 0.01


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this PyTorch has no Muon")
@pytest.mark.parametrize("length", ["original", "match_rms_adamw"])
def test_state_goes_to_torch_and_back(length: str) -> None:
    ours, straight = matrices()[:2], matrices()[:2]
    optimizer = Muon(ours, 0.02, preset="torch", adjust_lr_fn=length)
    train(ours, optimizer, 5)
    theirs = torch.optim.Muon(ours, lr=0.5, adjust_lr_fn="original")
    theirs.load_state_dict(optimizer.state_dict())
    assert theirs.param_groups[0]["lr"] == 0.02
    assert theirs.param_groups[0]["adjust_lr_fn"] == length
    train(copy.deepcopy(ours), theirs, 0)
    again = Muon(ours, 0.5)
    again.load_state_dict(theirs.state_dict())
    train(ours, again, 5)
    train(straight, Muon(straight, 0.02, preset="torch", adjust_lr_fn=length), 10)
    assert apart(ours, straight) < EXACT
    told = torch.optim.Muon(ours, lr=0.02)
    train(ours, told, 1)
    again.load_state_dict(told.state_dict())
    twins, twin = copy.deepcopy((ours, again))
    twin.param_groups[0]["adjust_lr_fn"] = "original"  # what torch.optim's None means
    train(ours, again, 1)
    train(twins, twin, 1)
    assert apart(ours, twins) == 0.0
    twin.param_groups[0]["adjust_lr_fn"] = "match_rms_adamw"
    train(ours, again, 1)
    train(twins, twin, 1)
    assert apart(ours, twins) > 1e-4


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_copies_go_on_by_themselves(copied: Any) -> None:
    params = matrices()
    optimizer = Muon(params, 0.02, ema=0.9)
    train(params, optimizer, 3)
    others, other_optimizer = copied((params, optimizer))
    train(params, optimizer, 3)
    assert apart(params, others) > 0.0
    train(others, other_optimizer, 3)
    assert apart(params, others) == 0.0


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (
            lambda: Muon(nn.Linear(3, 2).parameters()),
            r"muon: a parameter of shape \(2,\) is not a matrix: give it to AdamW",
        ),
        (lambda: Muon(matrices(), adjust_lr_fn="spectral"), "adjust_lr_fn = 'spectral': must be"),
        (lambda: Muon(matrices(), momentum=1.0), "muon: momentum = 1.0: must be"),
        (lambda: Muon(matrices(), weight_decay=-1.0), "muon: weight_decay = -1.0"),
    ],
)
def test_wrong_values_are_refused(call: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        call()


def test_groups_names_and_half_precision() -> None:
    module = nn.Sequential(nn.Linear(4, 6, bias=False), nn.Linear(6, 3, bias=False)).bfloat16()
    optimizer = Muon([{"params": [("one", module[0].weight)], "lr": 0.5}], lr=0.1)
    optimizer.add_param_group({"params": [("two", module[1].weight)], "adjust_lr_fn": "original"})
    before = copy.deepcopy(module)
    module(torch.ones(2, 4, dtype=torch.bfloat16)).square().mean().backward()
    optimizer.step()
    assert [group["adjust_lr_fn"] for group in optimizer.param_groups] == ["match_rms_adamw", "original"]
    for a, b in zip(module.parameters(), before.parameters(), strict=True):
        assert not torch.equal(a, b)
        assert bool(a.isfinite().all())
