"""The numbers behind the figures against plain Python over the runs."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from report_studies import Make

from ravine.outcomes.results import Results
from ravine.report.collect import band, best_curves, gaps, lr_curves
from ravine.report.regimes import NAMES, regimes


def test_lr_curves_are_medians_and_ranges_over_seeds(six: Results) -> None:
    for curve in lr_curves(six, "validation_loss"):
        assert not curve.others
        assert not curve.scattered
        assert [point.lr for point in curve.points] == sorted(
            {run.hypers["lr"] for run in six.runs if run.rule == curve.rule}
        )
        for point in curve.points:
            runs = [run for run in six.runs if run.rule == curve.rule and run.hypers["lr"] == point.lr]
            values = [run.metrics["validation_loss"] for run in runs if run.status == "done"]
            assert point.num_runs == 3
            assert point.num_diverged == sum(run.status == "diverged" for run in runs) == 3 - point.num_seeds
            if values:
                assert point.median == pytest.approx(statistics.median(values))
                assert (point.low, point.high) == (min(values), max(values))
            else:
                assert point.median is point.low is point.high is None


def test_the_best_of_the_other_hypers_stands_for_an_lr_whatever_is_shown(make: Make) -> None:
    results = make(rules=("adam",), lrs=(1e-3, 1e-2, 1.0), others={"model.dropout": (0.0, 0.3, 0.6)})
    losses, accuracies = (lr_curves(results, f"validation_{kind}")[0] for kind in ("loss", "accuracy"))
    assert losses.others == ("model.dropout",)
    assert not losses.scattered
    for point, same in zip(losses.points, accuracies.points, strict=True):
        assert point.config == same.config
        assert point.num_runs == 9
        configs: dict[str, list[float]] = {}
        for run in results.runs:
            if run.hypers["lr"] == point.lr and run.status == "done":
                configs.setdefault(run.config, []).append(run.metrics["validation_accuracy"])
        whole = {config: values for config, values in configs.items() if len(values) == 3}
        if whole:
            assert statistics.mean(whole[point.config]) == max(statistics.mean(v) for v in whole.values())
            assert f"model.dropout {run_of(results, point.config).hypers['model.dropout']:g}" == point.hypers


def run_of(results: Results, config: str):  # type: ignore[no-untyped-def]
    return next(run for run in results.runs if run.config == config)


def test_a_random_search_is_scattered(make: Make) -> None:
    rng = np.random.default_rng(1)
    results = make(rules=("adam",), lrs=tuple(10 ** rng.uniform(-4, -1, 6)), seeds=1)
    assert not lr_curves(results, "validation_loss")[0].scattered  # nothing else varies: a line is right
    drawn = [{"lr": 10 ** rng.uniform(-4, -1), "rho": rng.uniform(0.8, 0.99)} for _ in range(6)]
    curve = lr_curves(make(rules=("momentum",), draws=drawn, seeds=2), "validation_loss")[0]
    assert curve.others == ("rho",)
    assert curve.scattered
    assert len(curve.points) == 6


def test_band_of_seeds_by_hand() -> None:
    steps = np.array([0, 10, 20])
    seeds = [
        (steps, np.array([4.0, 2.0, 1.0], np.float32)),
        (steps, np.array([5.0, 3.0, 2.0], np.float32)),
        (steps[:2], np.array([9.0, 8.0], np.float32)),
    ]
    found = band(seeds)
    assert found is not None
    assert found.steps == (0, 10, 20)
    assert found.median == (5.0, 3.0, 1.5)
    assert found.low == (4.0, 2.0, 1.0)
    assert found.high == (9.0, 8.0, 2.0)
    assert found.num_seeds == 3


def test_a_diverged_seed_counts_as_infinite_from_there_on() -> None:
    steps = np.array([0, 10, 20, 30])
    seeds = [
        (steps, np.array([4.0, 3.0, 2.0, 1.0])),
        (steps, np.array([4.0, 5.0, np.nan, np.nan])),
        (steps, np.array([4.0, 6.0, 60.0, np.inf])),
    ]
    found = band(seeds, [False, True, True])
    assert found is not None
    assert found.steps == (0, 10, 20)  # at 30 two of three are lost: so is the median
    assert found.median == (4.0, 5.0, 60.0)
    assert found.high == (4.0, 6.0, None)
    assert found.low == (4.0, 3.0, None)


def test_bands_of_nothing_and_of_very_many_points() -> None:
    assert band([]) is None
    assert band([(np.array([1, 2]), np.array([np.nan, np.inf]))]) is None
    steps = np.arange(10_000)
    found = band([(steps, np.sin(steps))])
    assert found is not None
    assert len(found.steps) <= 240
    assert (found.steps[0], found.steps[-1]) == (0, 9999)


def test_best_curves_end_at_the_final_values_of_the_chosen_runs(six: Results) -> None:
    found = best_curves(six, "loss")
    assert [curve.rule for curve in found] == list(six.rules)
    for curve in found:
        result = next(each for each in six.verdict.rules if each.rule == curve.rule)
        assert curve.lr == result.lr
        final = [run.metrics["validation_loss"] for run in six.runs if run.config == result.config]
        assert curve.validation.median[-1] == pytest.approx(statistics.median(final), rel=1e-6)


def test_gaps_are_differences_and_larger_is_worse(six: Results, regression: Results) -> None:
    done = [run for run in six.runs if run.status == "done"]
    points = gaps(six, "accuracy")
    assert [point.run for point in points] == [run.id for run in done]
    for point, run in zip(points, done, strict=True):
        assert point.gap == pytest.approx(run.metrics["train_accuracy"] - run.metrics["validation_accuracy"])
        assert point.chosen == (run.config in six.chosen)
    first = gaps(regression, "loss")[0]
    assert first.gap == pytest.approx(first.validation - first.training)


def test_regimes_follow_their_criteria(six: Results) -> None:
    for result in six.verdict.rules:
        assert result.lr is not None
        found = regimes(six, result.rule)
        assert tuple(each.name for each in found) == NAMES
        low, good, high, too_high = found
        assert good.lr == result.lr
        grid = sorted({float(run.hypers["lr"]) for run in six.runs if run.rule == result.rule})
        if low.lr is not None:
            assert low.lr in grid
            assert low.lr <= good.lr / 3
            assert low.lr == pytest.approx(good.lr / 10, rel=0.01)  # the grid has two lrs a decade
        if too_high.lr is not None and too_high.num_diverged:
            assert too_high.num_diverged * 2 >= too_high.num_seeds
            lower = [lr for lr in grid if good.lr < lr < too_high.lr]
            assert high.lr == max(lower, default=None)
            for lr in lower:
                lost = [
                    r.status == "diverged" for r in six.runs if (r.rule, r.hypers["lr"]) == (result.rule, lr)
                ]
                assert sum(lost) * 2 < len(lost)
    assert any(each.num_diverged for result in six.verdict.rules for each in regimes(six, result.rule))


def test_without_divergence_too_high_has_lost_half_of_what_was_learned(make: Make) -> None:
    results = make(rules=("sgd",), lrs=(1e-3, 1e-2, 0.1, 1.0, 300.0), fate=lambda rule, lr, seed: False)
    low, good, high, too_high = regimes(results, "sgd")
    curves = results.curves("validation_loss")
    mean = {
        lr: np.mean([curves[run.id][1][-1] for run in results.runs if run.hypers["lr"] == lr])
        for lr in (good.lr, 300.0)
    }
    start = np.mean([curves[run.id][1][0] for run in results.runs if run.hypers["lr"] == good.lr])
    assert (too_high.lr == 300.0) == (mean[300.0] >= (start + mean[good.lr]) / 2)
    assert low.training is not None
    assert high.name == "high"


def test_regimes_that_the_grid_has_not_are_said_to_be_absent(make: Make, lost: Results) -> None:
    results = make(rules=("adam",), lrs=(2e-3,), seeds=1)
    low, good, high, too_high = regimes(results, "adam")
    assert (low.lr, good.lr, high.lr, too_high.lr) == (None, 2e-3, None, None)
    assert all("not in the grid" in each.why for each in (low, high, too_high))
    assert all(each.lr is None for each in regimes(lost, "sgd"))
