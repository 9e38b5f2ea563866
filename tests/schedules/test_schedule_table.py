"""Every schedule against torch.optim.lr_scheduler where it has the same one, else against its formula."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler as torchs

from ravine.errors import StudyError
from ravine.schedules import KINDS, cycle_ends, label, parse_schedule, table

# float64; torch.optim multiplies step by step where we have a closed form
ROUNDING = 1e-12
NUM_STEPS = 120


def torch_factors(scheduler_of, num_steps: int = NUM_STEPS) -> np.ndarray:
    """The factor at each step, as a training loop with one scheduler step per update sees it."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, factors = scheduler_of(optimizer), []
    for _ in range(num_steps):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # OneCycleLR steps once past its end
            if len(factors) < num_steps:
                scheduler.step()
    return np.array(factors, dtype=np.float64)


TORCH = [
    ("constant", lambda o: torchs.ConstantLR(o, factor=1.0)),
    ({"kind": "step", "every": 25, "factor": 0.5}, lambda o: torchs.StepLR(o, 25, gamma=0.5)),
    ({"kind": "step", "every": 0.25}, lambda o: torchs.StepLR(o, 30, gamma=0.1)),
    (
        {"kind": "exponential", "final": 0.05},
        lambda o: torchs.ExponentialLR(o, gamma=0.05 ** (1.0 / NUM_STEPS)),
    ),
    ("cosine", lambda o: torchs.CosineAnnealingLR(o, NUM_STEPS)),
    ({"kind": "cosine", "final": 0.1}, lambda o: torchs.CosineAnnealingLR(o, NUM_STEPS, eta_min=0.1)),
    ("linear", lambda o: torchs.LinearLR(o, start_factor=1.0, end_factor=0.0, total_iters=NUM_STEPS)),
    (
        {"kind": "linear", "final": 0.2},
        lambda o: torchs.LinearLR(o, start_factor=1.0, end_factor=0.2, total_iters=NUM_STEPS),
    ),
    ("polynomial", lambda o: torchs.PolynomialLR(o, total_iters=NUM_STEPS, power=2.0)),
    (
        {"kind": "polynomial", "power": 0.9},
        lambda o: torchs.PolynomialLR(o, total_iters=NUM_STEPS, power=0.9),
    ),
    ("cosine_restarts", lambda o: torchs.CosineAnnealingWarmRestarts(o, NUM_STEPS // 4)),
    (
        {"kind": "cosine_restarts", "cycles": 3, "final": 0.1},
        lambda o: torchs.CosineAnnealingWarmRestarts(o, NUM_STEPS // 3, eta_min=0.1),
    ),
    ("one_cycle", lambda o: torchs.OneCycleLR(o, max_lr=1.0, total_steps=NUM_STEPS, cycle_momentum=False)),
    (
        {"kind": "one_cycle", "peak": 0.37, "start": 0.1, "final": 0.01},
        lambda o: torchs.OneCycleLR(
            o,
            max_lr=1.0,
            total_steps=NUM_STEPS,
            pct_start=0.37,
            div_factor=10.0,
            final_div_factor=10.0,
            cycle_momentum=False,
        ),
    ),
]


@pytest.mark.parametrize(
    ("spec", "scheduler_of"), TORCH, ids=lambda value: json.dumps(value, default=lambda _: "")
)
def test_torch_has_the_same(spec, scheduler_of) -> None:
    np.testing.assert_allclose(
        table(parse_schedule(spec), NUM_STEPS), torch_factors(scheduler_of), rtol=0.0, atol=ROUNDING
    )


def test_inverse_is_one_over_time() -> None:
    factors = table(parse_schedule({"kind": "inverse", "half": 30}), NUM_STEPS)
    assert factors[0] == 1.0
    assert factors[30] == 0.5
    assert factors[90] == 0.25
    np.testing.assert_allclose(factors, [1.0 / (1.0 + s / 30.0) for s in range(NUM_STEPS)], rtol=1e-15)
    assert np.array_equal(factors, table(parse_schedule({"kind": "inverse", "half": 0.25}), NUM_STEPS))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_warm_up_climbs_by_equal_amounts_to_where_the_schedule_starts(kind: str) -> None:
    factors = table(parse_schedule({"kind": kind, "warmup": 20}), NUM_STEPS)
    expected = [factors[20] * (s + 1) / 21 for s in range(20)]
    np.testing.assert_allclose(factors[:20], expected, rtol=1e-14)
    assert factors[0] > 0.0
    assert factors[20] == pytest.approx({"one_cycle": 0.04, "climb": 1e-6}.get(kind, 1.0), rel=1e-14)
    assert np.array_equal(factors, table(parse_schedule({"kind": kind, "warmup": 20 / 120}), NUM_STEPS))


@pytest.mark.parametrize("kind", ["exponential", "linear", "polynomial", "cosine", "cosine_restarts"])
def test_after_the_warm_up_comes_the_same_schedule_in_fewer_steps(kind: str) -> None:
    warmed = table(parse_schedule({"kind": kind, "warmup": 20}), NUM_STEPS)
    assert np.array_equal(warmed[20:], table(parse_schedule(kind), NUM_STEPS - 20))


def test_linear_warm_up_is_torchs() -> None:
    def scheduler_of(optimizer: torch.optim.Optimizer) -> torchs.SequentialLR:
        warm = torchs.LinearLR(optimizer, start_factor=1.0 / 21.0, total_iters=20)
        rest = torchs.CosineAnnealingLR(optimizer, NUM_STEPS - 20)
        return torchs.SequentialLR(optimizer, [warm, rest], milestones=[20])

    ours = table(parse_schedule({"kind": "cosine", "warmup": 20}), NUM_STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # SequentialLR calls its own deprecated form of step
        theirs = torch_factors(scheduler_of)
    np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=ROUNDING)


def test_cycles_of_unequal_length_differ_by_one_step() -> None:
    factors = table(parse_schedule({"kind": "cosine_restarts", "cycles": 3}), 100)
    restarts = [s for s in range(1, 100) if factors[s] > factors[s - 1]]
    assert restarts == [34, 67]


LENGTH = st.integers(1, 50) | st.floats(0.01, 0.99)
FACTOR = st.floats(0.001, 1.0)
SPECS = st.one_of(
    st.fixed_dictionaries({"kind": st.just("constant")}),
    st.fixed_dictionaries({"kind": st.just("step")}, optional={"every": LENGTH, "factor": FACTOR}),
    st.fixed_dictionaries({"kind": st.just("exponential")}, optional={"final": FACTOR}),
    st.fixed_dictionaries({"kind": st.just("inverse")}, optional={"half": LENGTH}),
    st.fixed_dictionaries({"kind": st.just("linear")}, optional={"final": FACTOR}),
    st.fixed_dictionaries(
        {"kind": st.just("polynomial")}, optional={"final": FACTOR, "power": st.floats(0.1, 5.0)}
    ),
    st.fixed_dictionaries({"kind": st.just("cosine")}, optional={"final": FACTOR}),
    st.fixed_dictionaries(
        {"kind": st.just("cosine_restarts")}, optional={"final": FACTOR, "cycles": st.integers(1, 9)}
    ),
    st.fixed_dictionaries(
        {"kind": st.just("one_cycle")}, optional={"peak": LENGTH, "start": FACTOR, "final": FACTOR}
    ),
).flatmap(lambda spec: st.just(spec) | st.floats(0.0, 0.99).map(lambda warmup: {**spec, "warmup": warmup}))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(spec=SPECS, num_steps=st.integers(1, 300))
def test_any_schedule_of_any_run_lies_between_0_and_1(spec: dict[str, object], num_steps: int) -> None:
    parsed = parse_schedule(spec)
    factors = table(parsed, num_steps)
    assert factors.shape == (num_steps,)
    assert factors.dtype == np.float64
    assert np.isfinite(factors).all()
    assert (factors > 0.0).all()
    assert factors.max() <= 1.0 + 1e-15
    assert parse_schedule(json.loads(json.dumps(parsed.plain()))) == parsed
    assert parse_schedule(parsed) is parsed
    assert "\n" not in label(parsed)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"one_cycle"}))
def test_no_decay_stands_at_0_before_the_end(kind: str) -> None:
    assert table(parse_schedule(kind), NUM_STEPS)[-1] > 0.0


def test_one_cycle_peaks_where_told() -> None:
    factors = table(parse_schedule({"kind": "one_cycle", "peak": 30}), 100)
    assert int(np.argmax(factors)) == 29
    assert factors[29] == 1.0
    assert factors[0] == pytest.approx(0.04, rel=1e-12)
    assert factors[-1] == pytest.approx(4e-6, rel=1e-9)
    assert math.isclose(table(parse_schedule({"kind": "one_cycle", "peak": 400}), 100)[-1], 1.0)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("cosine", "cosine"),
        ({"kind": "cosine", "warmup": 0.05}, "cosine, warm-up 5 %"),
        ({"kind": "cosine", "final": 0.01, "warmup": 100}, "cosine, final 0.01, warm-up 100 steps"),
        ({"kind": "step", "every": 1, "factor": 0.5}, "step, every 1 step, factor 0.5"),
        ({"kind": "inverse", "half": 0.07}, "inverse, half 7 %"),
        ({"kind": "cosine_restarts", "cycles": 6}, "cosine restarts, cycles 6"),
        ({"kind": "cosine", "final": 0.0, "warmup": 0.0}, "cosine"),
    ],
)
def test_labels(spec: object, words: str) -> None:
    assert label(parse_schedule(spec)) == words


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "cosin",
            ".kind = 'cosin': no such schedule; did you mean 'cosine'? Allowed: climb, constant, "
            "cosine, cosine_restarts, exponential, inverse, linear, one_cycle, polynomial, step",
        ),
        (
            3,
            " = 3: must be a name, or a table with kind; allowed: climb, constant, "
            "cosine, cosine_restarts, exponential, inverse, linear, one_cycle, polynomial, step",
        ),
        (
            {"final": 0.1},
            ".kind: missing, it must be given; allowed: climb, constant, "
            "cosine, cosine_restarts, exponential, inverse, linear, one_cycle, polynomial, step",
        ),
        (
            {"kind": "cosine", "finl": 0.1},
            ".finl: unknown key; did you mean 'final'? Allowed: final, kind, warmup",
        ),
        (
            {"kind": "cosine", "warmup": 1.5},
            ".warmup = 1.5: must be a whole number of steps, or a fraction of the run below 1",
        ),
        (
            {"kind": "cosine", "warmup": -1},
            ".warmup = -1: must be a whole number of steps, or a fraction of the run below 1",
        ),
        (
            {"kind": "cosine", "warmup": math.nan},
            ".warmup = nan: must be a whole number of steps, or a fraction of the run below 1",
        ),
        (
            {"kind": "step", "every": 0},
            ".every = 0: must be a whole number of steps above 0, or a fraction of the run "
            "above 0 and below 1",
        ),
        ({"kind": "cosine", "final": 1.5}, ".final = 1.5: must be at most 1.0"),
        ({"kind": "exponential", "final": 0}, ".final = 0: must be greater than 0.0"),
        ({"kind": "cosine", "final": "low"}, ".final = 'low': must be a number"),
        (
            {"kind": "cosine_restarts", "cycles": 2.5},
            ".cycles = 2.5: must be a whole number",
        ),
    ],
)
def test_errors(spec: object, message: str) -> None:
    with pytest.raises(StudyError) as raised:
        parse_schedule(spec, "study.toml: schedule")
    assert str(raised.value) == f"study.toml: schedule{message}"


def test_a_warm_up_longer_than_the_run_is_refused() -> None:
    spec = parse_schedule({"kind": "cosine", "warmup": 440})
    with pytest.raises(StudyError) as raised:
        table(spec, 440)
    assert str(raised.value) == "schedule.warmup = 440: must be fewer steps than the run's 440"
    assert table(spec, 441)[-1] == 1.0


def test_specs_are_frozen_and_hashable() -> None:
    assert len({parse_schedule("cosine"), parse_schedule({"kind": "cosine", "final": 0.0})}) == 1


@pytest.mark.parametrize("warmup", [0, 1, 7, 0.1])
@pytest.mark.parametrize(("num_steps", "cycles"), [(12, 4), (13, 4), (59, 7), (60, 1), (100, 33)])
def test_a_cycle_ends_just_before_the_rate_jumps_up(num_steps: int, cycles: int, warmup: float) -> None:
    spec = parse_schedule({"kind": "cosine_restarts", "cycles": cycles, "warmup": warmup})
    factors = table(spec, num_steps)
    start = warmup if isinstance(warmup, int) else round(warmup * num_steps)
    if (num_steps - start) // cycles < 3:
        pytest.skip("a cycle of one or two steps has no shape")
    jumps = [step for step in range(start + 1, num_steps) if factors[step] > factors[step - 1]]
    assert cycle_ends(spec, num_steps) == [*jumps, num_steps]


def test_other_schedules_have_no_cycles() -> None:
    for kind in KINDS.keys() - {"cosine_restarts"}:
        assert cycle_ends(parse_schedule(kind), 100) == []
