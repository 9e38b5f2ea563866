"""Metrics with weights of examples: scikit-learn's `sample_weight`, and the spread of a weighted mean."""

from __future__ import annotations

import numpy as np
import pytest
from given_runs import classes, labels, values
from sklearn import metrics as sk

from ravine.errors import InputError
from ravine.metrics import heaviest_weight, metric_named, parts_of, values_of, weighted

RNG = np.random.default_rng(3)


def weights(num: int) -> np.ndarray:
    """Some of them 0."""
    return (RNG.gamma(0.5, size=num) * (RNG.random(num) > 0.2)).astype(np.float32)


def probabilities(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


OURS = {
    ("classification", "accuracy"): lambda z, y, w: sk.accuracy_score(y, z.argmax(axis=1), sample_weight=w),
    ("classification", "log_loss"): lambda z, y, w: sk.log_loss(
        y, probabilities(z), sample_weight=w, labels=np.arange(z.shape[1])
    ),
    ("classification", "brier"): lambda z, y, w: sk.brier_score_loss(
        y, probabilities(z), sample_weight=w, labels=np.arange(z.shape[1])
    ),
    ("classification", "top_2"): lambda z, y, w: sk.top_k_accuracy_score(
        y, z, k=2, sample_weight=w, labels=np.arange(z.shape[1])
    ),
    ("regression", "mse"): lambda z, y, w: sk.mean_squared_error(y, z, sample_weight=w),
    ("regression", "mae"): lambda z, y, w: sk.mean_absolute_error(y, z, sample_weight=w),
    ("regression", "pinball_0.9"): lambda z, y, w: sk.mean_pinball_loss(y, z, alpha=0.9, sample_weight=w),
    ("multilabel", "subset_accuracy"): lambda z, y, w: sk.accuracy_score(y, z > 0, sample_weight=w),
    ("multilabel", "label_accuracy"): lambda z, y, w: float(
        np.average(((z > 0) == (y > 0)).mean(axis=1), weights=w)
    ),
}


@pytest.mark.parametrize(("task", "name"), list(OURS))
def test_it_is_scikit_learns_number(task: str, name: str) -> None:
    given = {
        "classification": lambda: classes(1, 4),
        "multilabel": lambda: labels(1),
        "regression": lambda: values(1),
    }
    outputs, answers = given[task]()
    w, metric = weights(len(answers)), weighted(metric_named(name), task)
    expected = [OURS[task, name](z, answers, w) for z in outputs]
    found = values_of([metric], task, list(outputs), answers, w)
    np.testing.assert_allclose(found[f"weighted_{name}"], expected, rtol=1e-9)
    parts = parts_of(metric, task, list(outputs), answers, w)
    np.testing.assert_allclose(np.mean(parts, axis=1), expected, rtol=1e-9)


def test_equal_weights_are_none() -> None:
    outputs, answers = values(2)
    plain = metric_named("mae")
    same = parts_of(
        weighted(plain, "regression"), "regression", list(outputs), answers, np.full(len(answers), 7.0)
    )
    np.testing.assert_allclose(same, parts_of(plain, "regression", list(outputs), answers), rtol=1e-12)


def test_their_spread_is_that_of_a_weighted_mean_over_other_examples() -> None:
    num, repeats = 200, 4000
    w = RNG.gamma(0.7, size=(repeats, num))
    error = RNG.normal(size=(repeats, num))
    metric, found, told = weighted(metric_named("mse"), "regression"), [], []
    for e_N, w_N in zip(error, w, strict=True):
        parts = parts_of(metric, "regression", [e_N], np.zeros(num), w_N)[0]
        found.append(float(np.average(e_N**2, weights=w_N)))
        told.append(parts.var(ddof=1) / num)
    assert np.mean(told) == pytest.approx(np.var(found), rel=0.15)
    unlinearized = np.mean(
        [np.var(v_N * e_N**2 / v_N.mean(), ddof=1) / num for e_N, v_N in zip(error, w, strict=True)]
    )
    assert unlinearized > 1.1 * np.var(found)  # w_i s_i / mean(w) alone would say too much


def test_a_score_without_an_end_counts_nothing_where_its_weight_is_0() -> None:
    logits = np.array([[0.0, 800.0], [2.0, 0.0], [0.0, 1.0]])
    logits[0] = [0.0, np.finfo(np.float64).max]
    metric = weighted(metric_named("log_loss"), "classification")
    w = np.array([0.0, 1.0, 3.0])
    found = values_of([metric], "classification", [logits], np.array([0, 0, 0]), w)["weighted_log_loss"]
    expected = np.average(np.log1p(np.exp([-2.0, 1.0])), weights=[1.0, 3.0])
    np.testing.assert_allclose(found, [expected], rtol=1e-12)


def test_a_run_that_is_not_finite_has_none() -> None:
    metric = weighted(metric_named("mse"), "regression")
    found = values_of([metric], "regression", [np.array([np.nan, 1.0])], np.zeros(2), np.ones(2))
    assert np.isnan(found["weighted_mse"]).all()


@pytest.mark.parametrize("name", ["f1", "roc_auc", "ece", "balanced_accuracy"])
def test_what_is_no_mean_over_examples_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(
        InputError, match=rf"^metric = '{name}': not with data.weight_scores, which .* allowed: accuracy,"
    ):
        weighted(metric_named(name), "classification")


def test_names() -> None:
    metric = weighted(metric_named("accuracy"), "classification")
    assert (metric.name, metric.title, metric.asked, metric.binary) == (
        "weighted_accuracy",
        "weighted accuracy",
        "accuracy",
        False,
    )
    assert weighted(metric, "classification") is metric
    assert heaviest_weight(np.array([1.0, 1.0, 4.0])) == 2.0
