"""Scores of probabilities, and temperatures, against scikit-learn, SciPy and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.metrics import brier_score_loss, log_loss

from ravine.ensembles.folds import folds
from ravine.ensembles.pooling import log_softmax
from ravine.ensembles.scoring import (
    calibration_error,
    fit_temperature,
    heated,
    nll,
    scores_of,
    useful_temperature,
)

RNG = np.random.default_rng(1)
ANSWERS = RNG.integers(0, 4, 300)
LOGITS = RNG.normal(size=(300, 4)) + 2.0 * np.eye(4)[ANSWERS]
LOG_P = log_softmax(3.0 * LOGITS)


def test_scores_are_those_of_scikit_learn() -> None:
    found = scores_of(LOG_P, LOG_P.argmax(axis=1), ANSWERS)
    assert found.nll == pytest.approx(log_loss(ANSWERS, np.exp(LOG_P)), rel=1e-12)
    two = LOG_P[:, :2] - np.logaddexp(LOG_P[:, 0], LOG_P[:, 1])[:, None]
    right = (ANSWERS % 2).astype(np.int64)
    loss = brier_score_loss(right, np.exp(two[:, 1]))
    assert scores_of(two, two.argmax(axis=1), right).brier == pytest.approx(loss, rel=1e-12)
    assert found.accuracy == np.mean(LOG_P.argmax(axis=1) == ANSWERS)


def test_classes_that_no_example_has_count_none_the_less() -> None:
    """K comes from the data set: scikit-learn must be told its labels."""
    some = ANSWERS < 3
    found = scores_of(LOG_P[some], LOG_P[some].argmax(axis=1), ANSWERS[some])
    assert found.nll == pytest.approx(log_loss(ANSWERS[some], np.exp(LOG_P[some]), labels=[0, 1, 2, 3]))


def test_the_calibration_error_is_that_of_a_loop() -> None:
    confidence, right = np.exp(LOG_P).max(axis=1), LOG_P.argmax(axis=1) == ANSWERS
    order = np.argsort(confidence)
    expected = 0.0
    for number in range(10):
        bin_ = order[30 * number : 30 * number + 30]
        expected += abs(right[bin_].mean() - confidence[bin_].mean()) * 30 / 300
    assert calibration_error(LOG_P, LOG_P.argmax(axis=1), ANSWERS, 10) == pytest.approx(expected, abs=1e-14)
    one = log_softmax(np.array([[3.0, 0.0]]))
    assert calibration_error(one, np.array([0]), np.array([1])) == pytest.approx(np.exp(one[0, 0]))


def test_a_temperature_is_scipys_and_undoes_what_was_done() -> None:
    found = fit_temperature(LOG_P, ANSWERS)
    best = minimize_scalar(
        lambda log_t: nll(log_softmax(LOG_P / np.exp(log_t)), ANSWERS).mean(),
        bounds=(-3, 3),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert found == pytest.approx(np.exp(best.x), rel=1e-6)
    assert found == pytest.approx(3.0 * fit_temperature(log_softmax(LOGITS), ANSWERS), rel=1e-9)
    assert nll(heated(LOG_P, found), ANSWERS).mean() < nll(LOG_P, ANSWERS).mean()
    assert (heated(LOG_P, 1.0) == LOG_P).all()


def test_a_temperature_that_cannot_be_said_is_one() -> None:
    sure = log_softmax(5.0 * np.eye(4)[ANSWERS])
    assert fit_temperature(sure, ANSWERS) == 1.0  # all right: the colder the better
    assert fit_temperature(log_softmax(-5.0 * np.eye(4)[ANSWERS]), ANSWERS) == 1.0  # all wrong
    with np.errstate(divide="ignore"):
        lost = np.log(np.array([[0.0, 1.0]] * 9))
    assert fit_temperature(lost, np.zeros(9, dtype=np.int64)) == 1.0
    impossible = np.concatenate([LOG_P, np.full((300, 1), -np.inf)], axis=1)  # a class of probability 0
    assert fit_temperature(impossible, ANSWERS) == pytest.approx(fit_temperature(LOG_P, ANSWERS), rel=1e-9)


def test_a_temperature_is_kept_only_if_it_helps_elsewhere() -> None:
    assert useful_temperature(LOG_P, ANSWERS) == fit_temperature(LOG_P, ANSWERS)
    fair = log_softmax(LOGITS[:20])
    assert useful_temperature(fair, ANSWERS[:20]) in (1.0, fit_temperature(fair, ANSWERS[:20]))


@pytest.mark.parametrize("num", [2, 3, 5, 23])
def test_folds_part_the_examples(num: int) -> None:
    found = list(folds(num))
    assert np.sort(np.concatenate([fold for _, fold in found])).tolist() == list(range(num))
    for rest, fold in found:
        assert len(rest) > 0
        assert sorted([*rest, *fold]) == list(range(num))
