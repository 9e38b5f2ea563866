"""SAM as a wrapper: against its formula, and what a program expects of an optimizer."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from test_optim_numbers import EXACT, data, distance, model
from torch import Tensor, nn

from ravine.optim import BFGS, SAM, Adam, Momentum


def closure_of(module: nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[], Tensor]:
    x, y = data(next(module.parameters()).dtype)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (module(x) - y).square().mean()
        loss.backward()
        return loss

    return closure


def train(module: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
    return [float(optimizer.step(closure_of(module, optimizer)).detach()) for _ in range(steps)]


def test_formula_in_float64() -> None:
    ours, theirs = model(), model()
    told = train(ours, SAM(Momentum(ours.parameters(), 0.05), 0.3), 30)
    params = list(theirs.parameters())
    velocity = [torch.zeros_like(param) for param in params]
    x, y = data()
    for step in range(30):
        loss = (theirs(x) - y).square().mean()
        assert told[step] == pytest.approx(float(loss.detach()), abs=EXACT)
        grads = torch.autograd.grad(loss, params)
        length = torch.cat([grad.flatten() for grad in grads]).norm()
        with torch.no_grad():
            here = [param.clone() for param in params]
            for param, grad in zip(params, grads, strict=True):
                param += 0.3 * grad / length
        above = torch.autograd.grad((theirs(x) - y).square().mean(), params)
        with torch.no_grad():
            for param, start, grad, v in zip(params, here, above, velocity, strict=True):
                v.mul_(0.9).add_(grad)
                param.copy_(start - 0.05 * v)
    assert distance(ours, theirs) < EXACT


@pytest.mark.parametrize("make", [lambda p: torch.optim.SGD(p, 0.1), lambda p: Adam(p, 0.01)])
def test_state_is_that_of_the_optimizer_inside(make: Any) -> None:
    module, straight = model(), model()
    optimizer = SAM(make(module.parameters()), 0.1)
    train(module, optimizer, 5)
    plain = make(module.parameters())
    plain.load_state_dict(optimizer.state_dict())
    again = SAM(make(module.parameters()), 0.1)
    again.load_state_dict(plain.state_dict())
    train(module, again, 5)
    train(straight, SAM(make(straight.parameters()), 0.1), 10)
    assert distance(module, straight) < EXACT
    assert again.param_groups is again.base.param_groups


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_copies_go_on_by_themselves(copied: Any) -> None:
    module = model()
    optimizer = SAM(Adam(module.parameters(), 0.01), 0.1)
    train(module, optimizer, 3)
    other, other_optimizer = copied((module, optimizer))
    train(module, optimizer, 3)
    assert distance(module, other) > 0.0
    train(other, other_optimizer, 3)
    assert distance(module, other) == 0.0


def test_both_passes_have_one_dropout_mask_and_move_statistics_once() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
    seen: list[Tensor] = []
    module[2].register_forward_hook(lambda _module, _x, y: seen.append((y == 0).detach()))
    optimizer = SAM(Momentum(module.parameters(), 0.1), 0.05, module=module)
    before = torch.get_rng_state()
    train(module, optimizer, 2)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
    assert not torch.equal(before, torch.get_rng_state())
    assert int(module[1].num_batches_tracked) == 2


def test_schedulers_hooks_and_groups() -> None:
    module = model()
    optimizer, seen = SAM(Momentum([module[0].weight], 0.1), 0.1), []
    optimizer.register_step_post_hook(lambda *_: seen.append(1))
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    optimizer.add_param_group({"params": [module[2].weight], "lr": 0.3})
    train(module, optimizer, 1)
    schedule.step()
    assert [group["lr"] for group in optimizer.base.param_groups] == [0.05, 0.15]
    assert seen == [1]
    assert len(optimizer.param_groups) == 2


def test_a_failing_pass_leaves_the_weights_alone() -> None:
    module = model()
    before = copy.deepcopy(module)
    optimizer = SAM(Momentum(module.parameters(), 0.1), 0.1)
    evaluate, calls = closure_of(module, optimizer), []

    def closure() -> Tensor:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("out of memory")
        return evaluate()

    with pytest.raises(RuntimeError, match="out of memory"):
        optimizer.step(closure)
    assert distance(module, before) == 0.0


def test_maximize_looks_down() -> None:
    weight = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = SAM(Momentum([weight], 0.1, maximize=True), 0.5)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = -weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert float(weight.detach()) == pytest.approx(1.0 - 0.1 * 2.0 * 1.5)


@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        (lambda p: SAM(Momentum(p, 0.1), 0.0), ValueError, "radius = 0.0: must be above 0"),
        (
            lambda p: SAM(Momentum(p, 0.1), -1),
            ValueError,
            "radius = -1: must be a finite number of at least 0",
        ),
        (lambda p: SAM(p), TypeError, "base: must be an optimizer, not list"),
        (lambda p: SAM(torch.optim.LBFGS(p)), TypeError, "whose step needs no closure, not LBFGS"),
        (lambda p: SAM(BFGS(p)), TypeError, "whose step needs no closure, not BFGS"),
        (lambda p: SAM(SAM(Momentum(p, 0.1))), TypeError, "whose step needs no closure, not SAM"),
        (lambda p: SAM(Momentum(p, 0.1), module=p), TypeError, "module: must be an nn.Module, not list"),
        (lambda p: SAM(Momentum(p, 0.1)).step(), TypeError, "needs a closure"),
    ],
)
def test_wrong_use_is_refused(call: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        call([nn.Parameter(torch.ones(1))])
