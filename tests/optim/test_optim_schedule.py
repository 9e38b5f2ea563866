"""Schedules in a loop of one's own: torch's own rates, exact resume, places that expect an LRScheduler."""

from __future__ import annotations

import copy
import io
import math
import pickle
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as torchs

import ravine.optim
from ravine.optim import LBFGS, Schedule
from ravine.schedules import KINDS, parse_schedule, table

NUM_STEPS = 60
ROUNDING = 1e-12  # float64; torch multiplies step by step where we have a closed form

PAIRS = [
    ("constant", lambda o: torchs.ConstantLR(o, factor=1.0)),
    ({"kind": "step", "every": 20}, lambda o: torchs.StepLR(o, 20, gamma=0.1)),
    ("exponential", lambda o: torchs.ExponentialLR(o, 0.01 ** (1.0 / NUM_STEPS))),
    ("inverse", lambda o: torchs.LambdaLR(o, lambda s: 1.0 / (1.0 + s / 6.0))),
    ("linear", lambda o: torchs.LinearLR(o, 1.0, 0.0, total_iters=NUM_STEPS)),
    ("polynomial", lambda o: torchs.PolynomialLR(o, NUM_STEPS, power=2.0)),
    ("cosine", lambda o: torchs.CosineAnnealingLR(o, NUM_STEPS)),
    ("cosine_restarts", lambda o: torchs.CosineAnnealingWarmRestarts(o, NUM_STEPS // 4)),
    ("one_cycle", lambda o: torchs.OneCycleLR(o, [0.5, 0.02], NUM_STEPS, cycle_momentum=False)),
    ("climb", lambda o: torchs.LambdaLR(o, lambda s: 10.0 ** (-6.0 * (1.0 - s / (NUM_STEPS - 1.0))))),
]


def two_groups() -> torch.optim.Optimizer:
    def parameters() -> list[torch.nn.Parameter]:
        return [torch.nn.Parameter(torch.ones(3, dtype=torch.float64))]

    return ravine.optim.Momentum([{"params": parameters(), "lr": 0.5}, {"params": parameters()}], lr=0.02)


def rates(optimizer: torch.optim.Optimizer, scheduler: torchs.LRScheduler, num: int) -> np.ndarray:
    """The rates that each group is updated with, (num, groups)."""
    found = []
    for _ in range(num):
        found.append([group["lr"] for group in optimizer.param_groups])
        assert [float(lr) for lr in scheduler.get_last_lr()] == found[-1]
        optimizer.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # OneCycleLR and SequentialLR warn of themselves
            if len(found) < num:
                scheduler.step()
    return np.array(found)


@pytest.mark.parametrize(("spec", "theirs"), PAIRS, ids=[str(spec) for spec, _ in PAIRS])
def test_the_rates_are_torchs(spec, theirs) -> None:
    one, other = two_groups(), two_groups()
    np.testing.assert_allclose(
        rates(one, Schedule(one, spec, NUM_STEPS), NUM_STEPS),
        rates(other, theirs(other), NUM_STEPS),
        rtol=0.0,
        atol=ROUNDING,
    )
    assert {spec if isinstance(spec, str) else spec["kind"] for spec, _ in PAIRS} == set(KINDS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_rates_are_those_of_a_study(kind: str) -> None:
    spec = {"kind": kind, "warmup": 0.1}
    optimizer = two_groups()
    found = rates(optimizer, Schedule(optimizer, spec, NUM_STEPS), NUM_STEPS)
    factors = table(parse_schedule(spec), NUM_STEPS)
    assert np.array_equal(found, factors[:, None] * np.array([0.5, 0.02]))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_resumed_at_every_step_it_goes_on_with_the_same_bits(kind: str) -> None:
    spec = {"kind": kind, "warmup": 3}
    whole = two_groups()
    expected = rates(whole, Schedule(whole, spec, 20), 20)
    running = two_groups()
    schedule = Schedule(running, spec, 20)
    for step in range(20):
        file = io.BytesIO()
        torch.save({"optimizer": running.state_dict(), "schedule": schedule.state_dict()}, file)
        file.seek(0)
        kept = torch.load(file, weights_only=True)
        later = two_groups()
        again = Schedule(later, "constant", 7)  # whatever it was made with, the state decides
        later.load_state_dict(kept["optimizer"])
        again.load_state_dict(kept["schedule"])
        assert np.array_equal(rates(later, again, 20 - step), expected[step:])
        running.step()
        schedule.step()


def test_copies_and_pickles_go_on() -> None:
    optimizer = two_groups()
    schedule = Schedule(optimizer, "cosine", 20)
    expected = rates(two := two_groups(), Schedule(two, "cosine", 20), 20)
    rates(optimizer, schedule, 5)
    for again in (copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule))):
        assert np.array_equal(rates(again.optimizer, again, 16), expected[4:])


def test_after_the_end_the_rate_stays() -> None:
    for kind in KINDS:
        optimizer = two_groups()
        found = rates(optimizer, Schedule(optimizer, kind, 10), 25)
        assert (found[10:] == found[9]).all()


def test_in_a_sequence() -> None:
    optimizer = two_groups()
    parts = [Schedule(optimizer, "constant", 10), Schedule(optimizer, "cosine", 30)]
    found = rates(optimizer, torchs.SequentialLR(optimizer, parts, milestones=[10]), 40)
    expected = np.concatenate([np.ones(10), table(parse_schedule("cosine"), 30)])
    assert np.array_equal(found[:, 0], 0.5 * expected)


def test_before_and_after_torchs_own_in_a_sequence() -> None:
    optimizer = two_groups()
    parts = [torchs.LinearLR(optimizer, 0.1, 1.0, total_iters=5), Schedule(optimizer, "linear", 10)]
    found = rates(optimizer, torchs.SequentialLR(optimizer, parts, milestones=[5]), 15)
    np.testing.assert_allclose(found[5:, 0], 0.5 * table(parse_schedule("linear"), 10), rtol=1e-15)
    np.testing.assert_allclose(found[:5, 0], 0.5 * (0.1 + 0.18 * np.arange(5)), rtol=1e-12)


def test_any_optimizer_also_with_a_tensor_lr() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weight], lr=torch.tensor(0.1))
    schedule = Schedule(optimizer, "linear", 4)
    seen = []
    for _ in range(4):
        weight.grad = torch.ones(2)
        seen.append(optimizer.param_groups[0]["lr"].item())
        optimizer.step()
        schedule.step()
    np.testing.assert_allclose(seen, [0.1, 0.075, 0.05, 0.025], rtol=1e-6)  # a float32 lr
    assert isinstance(optimizer.param_groups[0]["lr"], torch.Tensor)
    assert isinstance(schedule, torchs.LRScheduler)


def test_last_epoch_goes_on_without_a_state() -> None:
    optimizer = two_groups()
    whole = rates(optimizer, Schedule(optimizer, "cosine", 20), 20)
    later = two_groups()
    for group in later.param_groups:
        group["initial_lr"] = group["lr"]
    assert np.array_equal(rates(later, Schedule(later, "cosine", 20, last_epoch=7), 12), whole[8:])


@pytest.mark.parametrize(
    ("schedule", "num_steps", "message"),
    [
        ("cosin", 10, "Schedule: schedule.kind = 'cosin': no such schedule; did you mean 'cosine'?"),
        ({"kind": "cosine", "warmup": 10}, 10, "Schedule: schedule.warmup = 10: must be fewer steps"),
        ("cosine", 0, "Schedule: num_steps = 0: must be a whole number from 1 to 1,000,000,000"),
        ("cosine", math.inf, "Schedule: num_steps = inf: must be a whole number from 1"),
        pytest.param(
            "cosine", 10**5000, "Schedule: num_steps = an int too large to show: must be", id="huge"
        ),
    ],
)
def test_errors(schedule, num_steps, message) -> None:
    with pytest.raises(ValueError, match="Schedule") as raised:
        Schedule(two_groups(), schedule, num_steps)
    assert str(raised.value).startswith(message)


def test_an_optimizer_without_lr_is_refused() -> None:
    with pytest.raises(ValueError, match="Schedule: LBFGS has no lr"):
        Schedule(LBFGS([nn.Parameter(torch.zeros(2))]), "cosine", 10)
