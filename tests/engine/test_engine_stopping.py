"""Early stopping: by the run's own patience, with the weights of its best evaluation."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from engine_runs import (
    FUSED,
    NATIVE,
    PLAIN,
    SERIAL,
    all_runs,
    same,
    study,
    train,
    trained_by,
    training_of,
)

from ravine.engine.records import Kept
from ravine.engine.stopping import Stopping
from ravine.study import Run, Study
from ravine.study.keep import Keep

RULES = (
    {"kind": "momentum", "lr": [0.3, 3.0]},
    {"kind": "nesterov_lookahead", "lr": 0.5},
    {"kind": "schedule_free_adamw", "lr": [0.01, 0.3]},
)

WAYS = [NATIVE, *(pytest.param(way, marks=pytest.mark.slow) for way in (FUSED, SERIAL, PLAIN))]


def stopping(
    patience: object = (0.0, 2.0, 15.0), *, num: int = 3, metric: str = "loss", **changes: object
) -> Study:
    """Weights that are soon at their best, with an evaluation at every second step."""
    return study(
        rules=RULES[:num],
        steps=40,
        evaluations=20,
        schedule=["constant", "cosine"],
        seeds=1,
        stop={"patience": patience, "metric": metric},
        **changes,
    )


def expected(curve: list[tuple[int, float]], patience: float, min_delta: float = 0.0) -> tuple[int, int]:
    """From the whole curve of a run: the step of its best evaluation, and that at which it stops."""
    best, at, waited = np.inf, 0, 0
    for step, value in curve:
        if value < best - min_delta:
            best, at, waited = value, step, 0
        else:
            waited += 1
            if waited == patience:
                return at, step
    return at, curve[-1][0]


def twin(run: Run, runs: list[Run]) -> Run:
    """The same run without a patience."""
    hypers = {name: value for name, value in run.recipe.hypers.items() if name != "stop.patience"}
    return next(
        each
        for each in runs
        if each.seed == run.seed
        and (each.recipe.hypers, each.recipe.rule, each.recipe.schedule)
        == (hypers, run.recipe.rule, run.recipe.schedule)
    )


@pytest.mark.parametrize("backend", WAYS[:2])
def test_a_run_ends_as_it_was_at_its_best(backend: str) -> None:
    """Whether it stopped or came to its end: https://github.com/keras-team/keras/issues/12511."""
    made = stopping()
    runs = all_runs(made)
    found = train(made, backend=backend)
    early = late = 0
    for run in (run for run in runs if run.recipe.hypers.get("stop.patience")):
        plain = twin(run, runs)
        assert plain.id not in found.finished.restored
        if plain.id in found.finished.diverged:
            continue
        whole = found.curve(plain, "validation_loss")
        at, end = expected(whole, run.recipe.hypers["stop.patience"])
        assert found.finished.restored[run.id] == at
        assert found.finished.stopped.get(run.id, 40) == end
        assert found.curve(run, "validation_loss") == [point for point in whole if point[0] <= end]
        assert found.metrics(run)["validation_loss"] == pytest.approx(
            min(v for s, v in whole if s <= end), rel=1e-5
        )
        early, late = early + (end < 40), late + (end == 40 and at < 40)
        # the same weights as those of a run that is as long as the best one is old, on the same schedule
        kept = weights_along(made, plain, at, backend)
        for name, weights in found.weights(run).items():
            np.testing.assert_array_equal(weights, kept[name], err_msg=f"{run.label} {name}")
    assert early
    assert late


@cache
def along(backend: str) -> list[Kept]:
    made = stopping()
    plain = [run for run in all_runs(made) if not run.recipe.hypers.get("stop.patience")]
    records = training_of(made, plain, backend).records(Keep(every=2))
    return [record for record in records if isinstance(record, Kept)]


def weights_along(made: Study, run: Run, step: int, backend: str) -> dict[str, np.ndarray]:
    if step == 40:
        return train(made, [run], backend).weights(run)
    kept = next(each for each in along(backend) if each.step == step)
    return {name: array[kept.runs.index(run.id)] for name, array in kept.weights.items()}


@pytest.mark.parametrize("backend", WAYS)
def test_neighbours_that_stop_change_no_bit(backend: str) -> None:
    """Alone, beside others, and in a program that shrinks as soon as one has stopped, or never."""
    made = stopping(num=2, dropout=0.2)
    runs = [run for run in all_runs(made) if run.seed == 0][1::3]
    alone = [train(made, [run], backend) for run in runs]
    if backend in (SERIAL, PLAIN):
        fused = train(made, runs, FUSED)
        for one, run in zip(alone, runs, strict=True):
            assert one.finished.stopped.get(run.id) == fused.finished.stopped.get(run.id)
        return
    for repay_steps in (0, 10**9):
        together = train(made, all_runs(made), backend, repay_steps=repay_steps)
        assert together.finished.stopped
        for one, run in zip(alone, runs, strict=True):
            same(one, together, run)
            assert one.finished.restored.get(run.id) == together.finished.restored.get(run.id)


@pytest.mark.parametrize("backend", WAYS[:2])
def test_going_on_from_a_checkpoint(backend: str) -> None:
    made = stopping(
        averages={"ema": 0.9, "polyak": {"from": 0.5}},
        model={"kind": "mlp", "hidden": [8], "norm": "batch"},
        num=2,
    )
    runs = all_runs(made)
    whole = train(made, runs, backend)
    assert whole.finished.stopped
    for stop in (24,):
        training = training_of(made, runs, backend)
        records = training.records(tick_seconds=0.0)
        early = []
        for record in records:
            early.append(record)
            if training.step >= stop:
                break
        saved = training.step, {name: array.copy() for name, array in training.snapshot().items()}
        again = trained_by(training_of(made, runs, backend, saved))
        assert again.finished.stopped == whole.finished.stopped
        assert again.finished.restored == whole.finished.restored
        for name, average in whole.finished.averages.items():
            other = again.finished.averages[name]
            for run in average.runs:
                a, b = average.runs.index(run), other.runs.index(run)
                for key in average.weights:
                    np.testing.assert_array_equal(average.weights[key][a], other.weights[key][b])
                np.testing.assert_array_equal(average.predictions["test"][a], other.predictions["test"][b])
        for run in runs:
            if run.id not in whole.finished.diverged:
                for name, weights in whole.weights(run).items():
                    np.testing.assert_array_equal(weights, again.weights(run)[name])


def test_an_average_of_a_run_that_stopped_is_of_the_steps_until_then() -> None:
    made = stopping(averages={"ema": 0.9}, num=1)
    found = train(made, backend=NATIVE)
    run = next(r for r in all_runs(made) if 0 < found.finished.stopped.get(r.id, 0) < 40)
    step = found.finished.stopped[run.id]
    steps = [each for each in along_every(made, twin(run, all_runs(made))) if each.step <= step]
    average = None
    for t, kept in enumerate(steps, 1):
        share = 0.1 / (1 - 0.9**t)
        now = {name: array[0].astype(np.float64) for name, array in kept.weights.items()}
        average = now if average is None else {n: average[n] + share * (now[n] - average[n]) for n in now}
    ema = found.finished.averages["ema 0.9"]
    for name, array in ema.weights.items():
        np.testing.assert_allclose(array[ema.runs.index(run.id)], average[name], rtol=1e-4, atol=1e-5)


def along_every(made: Study, run: Run) -> list[Kept]:
    records = training_of(made, [run], NATIVE).records(Keep(every=1))
    return [record for record in records if isinstance(record, Kept) and record.step > 0]


@pytest.mark.slow
def test_rules_that_search_stop_too() -> None:
    made = study(
        rules=[{"kind": "lbfgs"}],
        steps=60,
        evaluations=30,
        batch_size="full",
        stop={"patience": [0, 1]},
        seeds=2,
    )
    found, runs = train(made, backend=NATIVE), all_runs(made)
    for run in (run for run in runs if run.recipe.hypers.get("stop.patience")):
        whole = found.curve(twin(run, runs), "validation_loss")
        at, end = expected(whole, 1.0)
        assert (found.finished.restored[run.id], found.finished.stopped.get(run.id, 60)) == (at, end)
    assert found.finished.stopped


def test_gains_are_strict_and_not_a_number_is_none() -> None:
    made = study(rules=[{"kind": "sgd", "lr": 0.1}], seeds=1, stop={"patience": 3, "min_delta": 0.1})
    (run,) = all_runs(made)
    training = training_of(made, [run])
    state = training.setting.state
    judged = Stopping(training.cohort, state)
    losses = [np.nan, 1.0, 1.0, 0.95, 0.85, np.nan, 0.9, 0.8]
    seen = [judged.look(step, [0], np.array([loss], dtype=np.float32)) for step, loss in enumerate(losses)]
    assert [bool(gained) for gained, _ in seen] == [False, True, False, False, True, False, False, False]
    assert [bool(over) for _, over in seen] == [False] * 7 + [True]
    assert judged.best_step(0) == 4


def test_by_accuracy() -> None:
    made = stopping(num=1, metric="accuracy")
    runs = all_runs(made)
    plain = [run for run in runs if not run.recipe.hypers.get("stop.patience")]
    stops = [run for run in runs if run not in plain]
    assert stops[0].recipe.structure != plain[0].recipe.structure  # it stops by another number
    assert plain[0].id == all_runs(stopping(num=1))[0].id
    whole, found = train(made, plain, NATIVE), train(made, stops, NATIVE)
    for run in (run for run in stops if run.id not in found.finished.diverged):
        curve = [(step, -value) for step, value in whole.curve(twin(run, plain), "validation_accuracy")]
        at, end = expected(curve, run.recipe.hypers["stop.patience"])
        assert (found.finished.restored[run.id], found.finished.stopped.get(run.id, 40)) == (at, end)


def test_three_evaluations_before_the_end() -> None:
    """With a patience of 5 the run comes to its end, and its best weights are put back all the same."""
    made = study(
        rules=[{"kind": "adam", "lr": [0.03, 0.1]}], steps=40, evaluations=20, seeds=20, stop={"patience": 5}
    )
    found = train(made, backend=NATIVE)
    for run in all_runs(made):
        curve = found.curve(run, "validation_loss")
        best = min(curve, key=lambda point: (point[1], point[0]))[0]
        assert found.finished.restored[run.id] == best
        assert found.finished.stopped.get(run.id, 40) == min(best + 10, 40)
    late = [run for run in all_runs(made) if run.id not in found.finished.stopped]
    assert any(found.finished.restored[run.id] == 34 for run in late)
