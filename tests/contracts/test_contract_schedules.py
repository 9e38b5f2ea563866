"""Runs under every schedule in one cohort: as in the plain loop, alone as with the others, whole as in parts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import product

import numpy as np
import pytest
from engine_runs import FUSED, NATIVE, SERIAL, Trained, all_runs, same, study, train
from plain_loop import train_plainly, weights_of
from test_contract_cohorts import cut, groups

from ravine.engine.programs import TOGETHER
from ravine.schedules import KINDS
from ravine.study import Run, Study
from thinning import thinned

SCHEDULES = [{"kind": kind, "warmup": warmup} for kind in sorted(KINDS) for warmup in (0, 3)]
RULES = ({"kind": "nesterov_torch", "lr": 0.1}, {"kind": "adam", "lr": 0.01})


@cache
def scheduled() -> Study:
    return study(rules=RULES, schedule=SCHEDULES, steps=20, seeds=1)


@cache
def whole(backend: str) -> Trained:
    return train(scheduled(), backend=backend)


def of_kind(kind: str) -> list[Run]:
    return [run for run in all_runs(scheduled()) if run.recipe.schedule["kind"] == kind]


def test_every_schedule_is_in_one_cohort() -> None:
    assert len(all_runs(scheduled())) == len(RULES) * len(SCHEDULES) == len(whole(FUSED).finished.runs)


# One after another each kind would be traced anew; its table is the same, and warm-ups are among the others.
SERIALLY = ("cosine", "step")
CASES = [
    pytest.param(backend, kind, marks=pytest.mark.slow if backend == SERIAL and kind not in SERIALLY else ())
    for backend in (NATIVE, FUSED, SERIAL)
    for kind in sorted(KINDS)
]


@pytest.mark.parametrize(("backend", "kind"), CASES)
def test_it_trains_as_the_plain_loop(backend: str, kind: str) -> None:
    runs = of_kind(kind)
    for run in runs if backend in TOGETHER else runs[:1]:
        expected = weights_of(train_plainly(scheduled(), run)[0])
        trained = whole(backend) if backend in TOGETHER else train(scheduled(), [run], backend)
        for name, weights in trained.weights(run).items():  # float32, 20 steps
            np.testing.assert_allclose(weights, expected[name], rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(("backend", "kind"), thinned(product([NATIVE, FUSED], sorted(KINDS)), strength=1))
def test_a_run_does_not_depend_on_its_neighbours(backend: str, kind: str) -> None:
    for some in groups(of_kind(kind)[:3], (1, 2)):
        apart = train(scheduled(), some, backend)
        for run in some:
            same(apart, whole(backend), run)


@pytest.mark.parametrize("backend", [NATIVE, FUSED], ids=str)
@pytest.mark.parametrize("steps", [(2, 3, 10), pytest.param(range(1, 21), marks=pytest.mark.slow)], ids=str)
def test_going_on_at_any_step_changes_no_bit(steps: Sequence[int], backend: str) -> None:
    runs = all_runs(scheduled())
    for resumed in cut(scheduled(), runs, backend, steps):
        for run in runs:
            same(resumed, whole(backend), run)
