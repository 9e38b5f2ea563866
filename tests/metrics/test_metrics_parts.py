"""What each example contributes: the mean is the metric, and the influence is the metric's derivative by its weight.

The derivative is taken of scikit-learn's metrics with ``sample_weight``, one example a little heavier and a little
lighter. What no derivative describes (the calibration error, a median) is compared with the bootstrap alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from by_weight import OF_CLASSES, OF_LABELS, OF_VALUES, Weighted, f1, influences
from given_runs import classes, labels, values

from ravine.errors import InputError
from ravine.metrics import METRICS, metric_named, names_of, own_metric, parts_of, values_of, weighted
from ravine.metrics.own import groups_of


def check_influences(
    name: str, task: str, metric: Weighted, outputs: np.ndarray, answers: np.ndarray
) -> None:
    (parts,) = parts_of(metric_named(name), task, [outputs], answers)
    value = metric(outputs, answers, np.ones(len(answers)))
    assert parts.mean() == pytest.approx(value, abs=1e-12)
    assert parts - value == pytest.approx(influences(metric, outputs, answers), abs=2e-6)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("num_classes", [2, 4])
@pytest.mark.parametrize("name", OF_CLASSES)
def test_of_classes(name: str, num_classes: int, ties: bool) -> None:
    logits, answers = classes(3, num_classes, num=30, runs=1, ties=ties)
    check_influences(name, "classification", OF_CLASSES[name], logits[0], answers)


@pytest.mark.parametrize("ties", [False, True])
def test_of_f1(ties: bool) -> None:
    logits, answers = classes(3, 2, num=30, runs=1, ties=ties)
    check_influences("f1", "classification", f1("binary"), logits[0], answers)


@pytest.mark.parametrize("num_targets", [1, 3])
@pytest.mark.parametrize("name", OF_VALUES)
def test_of_values(name: str, num_targets: int) -> None:
    found, answers = values(3, num_targets, num=30, runs=1)
    check_influences(name, "regression", OF_VALUES[name], found[0], answers)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("name", OF_LABELS)
def test_of_labels(name: str, ties: bool) -> None:
    logits, answers = labels(3, num=30, runs=1, ties=ties)
    check_influences(name, "multilabel", OF_LABELS[name], logits[0], answers)


TASKS = {
    "classification": lambda seed: classes(seed, 3, num=400, runs=2),
    "multilabel": lambda seed: labels(seed, num=400, runs=2),
    "regression": lambda seed: values(seed, num=400, runs=2),
}
NUMBERED = {"classification": ["top_2"], "regression": ["pinball_0.9"]}
# Bins that move with the examples take some spread out of the calibration error, so its parts say too much; a median's
# error is known from few examples about it.
WIDTHS = {"ece": 0.5, "median_absolute_error": 0.35}


@pytest.mark.parametrize("task", TASKS)
def test_parts_have_the_metrics_mean_and_the_bootstraps_error(task: str) -> None:
    outputs, answers = TASKS[task](1)
    names = [name for name in (*names_of(task), *NUMBERED.get(task, ())) if name != "f1"]
    rng = np.random.default_rng(5)
    metrics = [metric_named(name) for name in names]
    drawn = []
    for _ in range(200):
        rows = rng.integers(0, len(answers), len(answers))
        drawn.append(values_of(metrics, task, list(outputs[:, rows]), answers[rows]))
    whole = values_of(metrics, task, list(outputs), answers)
    for metric in metrics:
        parts = np.stack(parts_of(metric, task, list(outputs), answers))
        assert parts.shape == outputs.shape[:2]
        assert parts.mean(axis=1) == pytest.approx(whole[metric.name], abs=1e-12), metric.name
        error = parts.std(axis=1) / np.sqrt(len(answers))
        boot = np.std([each[metric.name] for each in drawn], axis=0)
        width = WIDTHS.get(metric.name, 0.2)  # an error of 200 draws is itself known to 5 % (4 sd)
        assert error / boot == pytest.approx(np.ones(2), abs=width), metric.name


def test_parts_of_a_whole_metric_are_its_examples() -> None:
    logits, answers = classes(0, 3)
    parts = np.stack(parts_of(METRICS["accuracy"], "classification", list(logits), answers))
    assert (parts == (logits.argmax(axis=2) == answers)).all()


def test_perfect_predictions_have_no_spread() -> None:
    answers = np.repeat([0, 1, 2], 10)
    logits = [20.0 * np.eye(3)[answers]]
    for name in names_of("classification"):
        if METRICS[name].percent and name != "f1":
            (parts,) = parts_of(METRICS[name], "classification", logits, answers)
            assert parts == pytest.approx(np.ones(30), abs=1e-12), name
    exact = values(0)[1]
    for name in names_of("regression"):
        (parts,) = parts_of(METRICS[name], "regression", [exact], exact)
        assert parts == pytest.approx(np.full(len(exact), METRICS[name].best), abs=1e-12), name


def rmse(predicted: np.ndarray, answers: np.ndarray) -> float:
    return float(np.sqrt(np.mean((predicted - answers) ** 2)))


def test_a_function_of_ones_own_that_returns_a_number_is_jackknifed() -> None:
    found, answers = values(2, num=1000, runs=1)
    metric = own_metric("rmse", rmse, lower=True)
    (parts,), (own,) = (
        parts_of(each, "regression", list(found), answers) for each in (METRICS["rmse"], metric)
    )
    assert own.mean() == pytest.approx(parts.mean(), abs=1e-12)
    assert own.std() == pytest.approx(parts.std(), rel=0.3)  # the spread of 50 groups is known to 10 %
    few, their = found[:, :40], answers[:40]
    (parts,), (own,) = (parts_of(each, "regression", list(few), their) for each in (METRICS["rmse"], metric))
    assert np.corrcoef(own, parts)[0, 1] > 0.999  # each example is left out by itself
    assert own.std() == pytest.approx(parts.std(), rel=0.1)
    assert values_of([metric], "regression", list(found), answers)["own_rmse_loss"] == pytest.approx(
        [rmse(found[0], answers)]
    )


def test_a_function_of_ones_own_gets_probabilities_and_may_return_a_number_for_each_example() -> None:
    logits, answers = classes(2, 3, runs=2)
    metric = own_metric("p", lambda p, y: p[np.arange(len(y)), y], lower=False)
    parts = parts_of(metric, "classification", list(logits), answers)
    wanted = np.exp(-np.stack(parts_of(METRICS["log_loss"], "classification", list(logits), answers)))
    assert np.stack(parts) == pytest.approx(wanted)
    assert values_of([metric], "classification", list(logits), answers)["p"] == pytest.approx(
        wanted.mean(axis=1)
    )
    marks, both = labels(2)
    share = own_metric("s", lambda p, y: ((p > 0.5) == y).mean(axis=1), lower=False)
    right = parts_of(METRICS["label_accuracy"], "multilabel", list(marks), both)
    assert np.stack(parts_of(share, "multilabel", list(marks), both)) == pytest.approx(np.stack(right))


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (
            lambda p, y: "good",
            "metric = 'mine': returned 'good'; must return a number, or one for each example",
        ),
        (lambda p, y: p[:, None], r"returned an array of shape \(301, 1\); must return a number"),
        (lambda p, y: y[:3], r"returned an array of shape \(3,\); must return a number"),
        (lambda p, y: None, "returned None; must return a number"),
        (lambda p, y: 1 / 0, "metric = 'mine': failed: .*division by zero"),
        (lambda p, y: float("nan"), "metric = 'mine': returned nan for predictions that are all finite"),
        (lambda p, y: np.where(y == y[7], np.inf, 1.0), "returned inf for predictions that are all finite"),
        (
            lambda p, y: p.sort() or 1.0,
            "metric = 'mine': changed the predictions that it was given; must copy",
        ),
        (lambda p, y: np.subtract(y, p, out=y), "metric = 'mine': changed the answers that it was given"),
    ],
)
def test_a_function_that_returns_something_else_is_refused(
    function: Callable[..., object], words: str
) -> None:
    found, answers = values(0)
    with pytest.raises(InputError, match=words):
        values_of([own_metric("mine", function, lower=False)], "regression", list(found), answers)


def test_a_function_that_has_no_value_without_some_examples_is_refused() -> None:
    """It has one of all examples, and none where the jackknife leaves out the only one of its kind."""
    found, answers = values(0)
    largest = answers.max()
    mine = own_metric("mine", lambda p, y: 1.0 if largest in y else float("nan"), lower=False)
    with pytest.raises(InputError, match="metric = 'mine': returned nan for predictions"):
        parts_of(mine, "regression", list(found), answers)


def test_a_run_without_finite_outputs_has_no_metric_of_a_function() -> None:
    found, answers = values(0)
    found[0, 3] = np.nan
    mine = own_metric("mine", lambda p, y: float(np.mean(p - y)), lower=False)
    known = values_of([mine], "regression", list(found), answers)["mine"]
    assert np.isfinite(known).tolist() == [False] + [True] * (len(found) - 1)


def test_groups_cover_all_examples_once() -> None:
    groups = groups_of(1234)
    assert sorted(np.concatenate(groups).tolist()) == list(range(1234))
    assert {len(group) for group in groups} == {24, 25}
    assert [len(group) for group in groups_of(3)] == [1, 1, 1]


@pytest.mark.parametrize("weights", [None, np.array([3.0]), np.array([0.0, 3.0])], ids=str)
def test_a_median_of_one_example_is_its_error(weights: np.ndarray | None) -> None:
    metric = metric_named("median_absolute_error")
    num = 1 if weights is None else len(weights)
    chosen = metric if weights is None else weighted(metric, "regression")
    (parts,) = parts_of(chosen, "regression", [np.full(num, 1.0)], np.full(num, 3.0), weights)
    assert parts == pytest.approx(np.full(num, 2.0))
