"""Moving averages of the weights in `ravine.optim`: several at once, debiased, loaded, tied, frozen."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ravine.optim import SAM, SGD, Adam, Momentum, Muon, Nesterov, ScheduleFreeAdamW

Make = Callable[..., torch.optim.Optimizer]
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
MAKES: dict[str, Make] = {
    "sgd": lambda p, **more: SGD(p, 0.05, **more),
    "max_norm": lambda p, **more: Momentum(p, 0.05, max_norm=1.0, **more),
    "nesterov": lambda p, **more: Nesterov(p, 0.05, **more),
    "adam": lambda p, **more: Adam(p, 0.01, l1=0.01, **more),
    "schedule_free": lambda p, **more: ScheduleFreeAdamW(p, 0.05, **more),
    "muon": lambda p, **more: Muon(p, 0.01, **more),
}


def train(optimizer: Any, weights: list[Tensor], steps: int, start: int = 0) -> None:
    """Steps with gradients that depend on the weights and on the number of the step."""
    for step in range(start, start + steps):
        for weight in weights:
            weight.grad = (weight.detach() + 0.3 * step).sin() + 0.2 * weight.detach()
        optimizer.step()


def seen(optimizer: Any, weights: list[Tensor], name: str | None = None) -> Tensor:
    with optimizer.deployed(name):
        return torch.cat([weight.detach().double().flatten() for weight in weights])


def parameters(dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(4, 3, generator=generator).to(dtype).requires_grad_() for _ in range(2)]


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", MAKES)
def test_each_average_is_the_weighted_sum_of_what_was_deployed(name: str, dtype: torch.dtype) -> None:
    weights = parameters(dtype)
    optimizer = MAKES[name](weights, ema=[0.9, 0.99])
    num = 500 if name in ("sgd", "nesterov") else 40
    points = []
    for step in range(num):
        train(optimizer, weights, 1, start=step)
        points.append(seen(optimizer, weights, "own"))
    for decay in (0.9, 0.99):
        counts = torch.tensor(
            [(1 - decay) * decay ** (num - i) / (1 - decay**num) for i in range(1, num + 1)],
            dtype=torch.float64,
        )
        right = (counts[:, None] * torch.stack(points)).sum(0)
        found = seen(optimizer, weights, f"ema {decay}")
        assert torch.linalg.norm(found - right) <= TOLERANCE[dtype] * torch.linalg.norm(right)


def test_the_first_average_is_deployed_and_one_step_makes_it_the_weights() -> None:
    weights = parameters()
    optimizer = Nesterov(weights, 0.1, ema=(0.9, 0.5))
    train(optimizer, weights, 1)
    for name in (None, "ema 0.9", "ema 0.5"):
        assert torch.equal(seen(optimizer, weights, name), seen(optimizer, weights, "own"))
    train(optimizer, weights, 3, start=1)
    assert torch.equal(seen(optimizer, weights), seen(optimizer, weights, "ema 0.9"))
    assert not torch.equal(seen(optimizer, weights), seen(optimizer, weights, "ema 0.5"))
    with pytest.raises(
        ValueError, match=r"Nesterov: deployed: no average 'ema 0\.99': allowed: ema 0\.5, ema 0\.9, own"
    ):
        seen(optimizer, weights, "ema 0.99")


@pytest.mark.parametrize(
    ("ema", "message"),
    [
        ([0.9, 1.0], "sgd: ema = 1.0: must be"),
        ([0.0], "sgd: ema = 0.0: must be"),
        ([0.9, 0.9], "the same decay twice"),
        ("0.9", "sgd: ema = '0.9'"),
        ([None], "sgd: ema = None"),
    ],
)
def test_a_wrong_decay_is_refused(ema: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SGD(parameters(), 0.1, ema=ema)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_resumed_run_has_the_averages_of_an_uninterrupted_one(dtype: torch.dtype) -> None:
    whole, part = parameters(dtype), parameters(dtype)
    uninterrupted, first = (Adam(p, 0.01, ema=[0.9, 0.999]) for p in (whole, part))
    train(uninterrupted, whole, 300)
    train(first, part, 290)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    again = Adam(part, 0.5)
    again.load_state_dict(torch.load(file, weights_only=True))
    train(again, part, 10, start=290)
    for name in ("own", "ema 0.9", "ema 0.999"):
        assert torch.equal(seen(again, part, name), seen(uninterrupted, whole, name))
    assert torch.equal(seen(copy.deepcopy(again), part, "own"), seen(again, part, "own"))


def test_an_older_checkpoint_goes_on_as_the_average_that_is_not_debiased() -> None:
    weights = parameters()
    plain = Adam(weights, 0.01)
    train(plain, weights, 5)
    old = plain.state_dict()  # as version 0.1 wrote it
    old["param_groups"][0]["ema"] = 0.9
    average = [torch.full_like(weight, 2.0) for weight in weights]
    for number, own in enumerate(average):
        old["state"][number]["ema"] = own.clone()
    optimizer = Adam(weights, 0.01)
    optimizer.load_state_dict(old)
    assert torch.equal(seen(optimizer, weights), torch.full((24,), 2.0, dtype=torch.float64))
    for step in range(5, 25):
        train(optimizer, weights, 1, start=step)
        average = [own.lerp(weight.detach(), 0.1) for own, weight in zip(average, weights, strict=True)]
    right = torch.cat([own.flatten() for own in average]).double()
    assert torch.allclose(seen(optimizer, weights), right, rtol=1e-6)
    again = Adam(weights, 0.01)
    again.load_state_dict(optimizer.state_dict())
    train(again, weights, 1, start=25)
    right = torch.cat([own.lerp(w.detach(), 0.1).flatten() for own, w in zip(average, weights, strict=True)])
    assert torch.allclose(seen(again, weights), right.double(), rtol=1e-6)


def test_a_tied_weight_is_averaged_once_and_stays_tied() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    model[1].weight = model[0].weight
    optimizer = SGD(model.parameters(), 1.0, ema=1 - 1e-9)
    with torch.no_grad():
        model[0].weight.zero_()
    for gradient in (-1.0, -2.0):  # to 1, and to 3
        model[0].weight.grad = torch.full((1, 1), gradient)
        optimizer.step()
    with optimizer.deployed():
        assert model[0].weight.item() == pytest.approx(2.0, abs=1e-6)
        assert model[1].weight is model[0].weight
    assert model[1].weight.item() == 3.0


def test_frozen_parameters_keep_their_own_count_of_steps() -> None:
    frozen, late, always = (torch.ones(2, requires_grad=number > 0) for number in range(3))
    optimizer = SGD([frozen, late, always], 0.1, ema=0.5)
    train(optimizer, [always], 3)
    before = late.detach().clone()
    assert torch.equal(seen(optimizer, [frozen, late]), torch.ones(4, dtype=torch.float64))
    train(optimizer, [late], 1, start=3)
    assert torch.equal(seen(optimizer, [late]).float(), late.detach())
    assert not torch.equal(late, before)


def test_an_average_begins_when_it_is_asked_for_and_anew_after_a_break() -> None:
    (weight, _) = parameters()
    optimizer = SGD([weight], 0.1)
    train(optimizer, [weight], 3)
    optimizer.param_groups[0]["ema"] = [0.9]
    train(optimizer, [weight], 1, start=3)
    assert torch.equal(seen(optimizer, [weight]).float(), weight.detach().flatten())
    optimizer.param_groups[0]["ema"] = 0.0
    train(optimizer, [weight], 2, start=4)
    assert "ema 0.9" not in optimizer.state[weight]
    optimizer.param_groups[0]["ema"] = 0.9
    train(optimizer, [weight], 1, start=6)
    assert torch.equal(seen(optimizer, [weight]).float(), weight.detach().flatten())


def test_a_decay_may_change_at_every_step_and_compiles_nothing() -> None:
    (weight, _) = parameters()
    optimizer = SGD([weight], 0.1, ema=[0.25, 0.5])
    right = None
    for step in range(6):
        decay = 0.5 + 0.05 * step
        optimizer.param_groups[0]["ema"] = [0.25, decay]
        train(optimizer, [weight], 1, start=step)
        share = (1 - decay) / (1 - decay ** (step + 1))
        now = weight.detach().flatten().double()
        right = now if right is None else right.lerp(now, share)
        assert torch.allclose(seen(optimizer, [weight], f"ema {decay!r}"), right, rtol=1e-5, atol=1e-6)
    assert len(optimizer._steppers) == 1
    assert sum(key.startswith("ema") for key in optimizer.state[weight]) == 4


def test_sam_averages_the_weights_and_not_the_points_above_them() -> None:
    weight = torch.tensor([1.0], requires_grad=True)
    optimizer = SAM(SGD([weight], 0.1, ema=0.5), radius=0.5)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    points = []
    for _ in range(2):
        optimizer.step(closure)
        points.append(weight.item())
    assert isinstance(optimizer.base, SGD)
    with optimizer.base.deployed():
        assert weight.item() == pytest.approx(points[0] / 3 + points[1] * 2 / 3, rel=1e-6)
