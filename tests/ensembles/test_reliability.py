"""Reliability, coverage and pools chosen on other folds, against sums written out."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binomtest

from ravine.ensembles.coverage import by_agreement, by_confidence, by_spread
from ravine.ensembles.folds import folds
from ravine.ensembles.held_out import held_out
from ravine.ensembles.losses import ValueLosses, class_losses
from ravine.ensembles.pooling import log_softmax
from ravine.ensembles.reliability import reliability
from ravine.ensembles.scoring import calibration_error, heated_elsewhere, useful_heat, useful_temperature
from ravine.ensembles.selection import greedy, heaviest, top
from ravine.verdict.own_interval import share_interval

RNG = np.random.default_rng(3)
ANSWERS = RNG.integers(0, 3, 101)
LOGITS = [3.0 * np.eye(3)[ANSWERS] + RNG.normal(0, 2.5, (101, 3)) for _ in range(4)]


@pytest.mark.parametrize(("num", "of"), [(0, 7), (7, 7), (3, 7), (900, 1000)])
def test_a_share_has_wilsons_interval(num: int, of: int) -> None:
    expected = binomtest(num, of).proportion_ci(0.95, method="wilson")
    assert share_interval(num, of, 0.05) == pytest.approx(
        (expected.low, expected.high),
        rel=1e-5,  # the width of a normal is found to so many digits
        abs=1e-12,
    )


def test_bins_are_those_of_the_calibration_error() -> None:
    log_p = log_softmax(LOGITS[0])
    predicted = log_p.argmax(axis=1)
    bins = reliability(log_p, predicted, ANSWERS)
    assert [each.examples for each in bins] == [7] * 11 + [6] * 4
    assert [each.confidence for each in bins] == sorted(each.confidence for each in bins)
    error = sum(each.examples * abs(each.accuracy - each.confidence) for each in bins) / 101
    assert error == pytest.approx(calibration_error(log_p, predicted, ANSWERS), abs=1e-12)
    right = sum(each.examples * each.accuracy for each in bins)
    assert right == pytest.approx((predicted == ANSWERS).sum())
    assert len(reliability(log_p[:3], predicted[:3], ANSWERS[:3])) == 3


def test_heat_is_the_temperature_and_what_it_makes() -> None:
    log_p = log_softmax(3.0 * LOGITS[0])  # too sure
    temperature, after = useful_heat(log_p, ANSWERS)
    assert temperature == useful_temperature(log_p, ANSWERS) > 1.5
    assert after is not None
    assert np.array_equal(after, heated_elsewhere(log_p, ANSWERS))
    assert useful_heat(np.log(np.full((9, 3), 1 / 3)), np.zeros(9, dtype=int)) == (1.0, None)


def test_levels_count_the_members_that_agree() -> None:
    classes = [each.argmax(axis=1) for each in LOGITS]
    predicted = log_softmax(np.mean([np.exp(log_softmax(each)) for each in LOGITS], axis=0)).argmax(axis=1)
    agreeing = [sum(int(member[n] == predicted[n]) for member in classes) for n in range(101)]
    levels = by_agreement(classes, predicted, ANSWERS, fewest=1)
    assert [each.agreement for each in levels] == [(k, k) for k in sorted(set(agreeing), reverse=True)]
    for level in levels:
        here = [n for n in range(101) if agreeing[n] == level.agreement[0]]
        so_far = [n for n in range(101) if agreeing[n] >= level.agreement[0]]
        assert level.here.examples == len(here)
        assert level.here.value == pytest.approx(np.mean([predicted[n] == ANSWERS[n] for n in here]))
        assert level.covered.value == pytest.approx(np.mean([predicted[n] == ANSWERS[n] for n in so_far]))
        assert level.share == pytest.approx(len(so_far) / 101)
        assert level.covered.interval[0] <= level.covered.value <= level.covered.interval[1]
    few = by_agreement(classes, predicted, ANSWERS, fewest=40)
    assert all(each.here.examples >= 40 for each in few)
    assert few[-1].share == 1.0
    assert few[-1].covered.value == levels[-1].covered.value
    [one] = by_agreement(classes[:1], classes[0], ANSWERS)
    assert one.agreement == (1, 1)


def test_levels_of_confidence_and_spread_are_tenths() -> None:
    log_p = log_softmax(LOGITS[0])
    predicted = log_p.argmax(axis=1)
    tenths = by_confidence(log_p, predicted, ANSWERS)
    assert [each.here.examples for each in tenths] == [11] + [10] * 9
    order = np.argsort(-log_p.max(axis=1), kind="stable")
    assert tenths[1].covered.value == pytest.approx((predicted == ANSWERS)[order[:21]].mean())
    assert all(a.agreement[0] >= b.agreement[1] for a, b in itertools.pairwise(tenths))
    spread, errors = RNG.gamma(1, 1, 101), RNG.normal(0, 2, 101)
    tenths = by_spread(spread, errors)
    order = np.argsort(spread)
    assert tenths[0].here.value == pytest.approx(np.square(errors[order[:11]]).mean())
    assert tenths[-1].covered.value == pytest.approx(np.square(errors).mean())
    assert all(
        each.here.interval[0] >= 0.0 and not math.copysign(1, each.here.interval[0]) < 0 for each in tenths
    )


def test_pools_are_scored_where_they_were_not_chosen() -> None:
    losses = class_losses(LOGITS, ANSWERS)
    found = held_out(LOGITS, ANSWERS, losses, lambda some: [top(some, 1), top(some, 2)])
    p = [np.exp(log_softmax(each)) for each in LOGITS]
    nll = [-np.log(each[np.arange(101), ANSWERS]) for each in p]
    for rest, fold in folds(101):
        order = sorted(range(4), key=lambda member: nll[member][rest].mean())
        for size, scores in enumerate(found, 1):
            pooled = np.mean([p[member][fold] for member in order[:size]], axis=0)
            assert scores["nll"][fold] == pytest.approx(-np.log(pooled[np.arange(len(fold)), ANSWERS[fold]]))
            assert scores["accuracy"][fold] == pytest.approx((pooled.argmax(axis=1) == ANSWERS[fold]) * 1.0)
    values = [RNG.normal(0, size, 50) for size in (1, 2, 3)]
    truth = np.zeros(50)
    [best] = held_out(values, truth, ValueLosses(np.stack(values)), lambda some: [top(some, 1)])
    assert best["mse"] == pytest.approx(np.square(values[0]))


def test_only_the_heaviest_members_are_kept() -> None:
    losses = class_losses(LOGITS, ANSWERS)
    assert heaviest(losses, np.array([0.1, 0.4, 0.2, 0.3]), 2) == pytest.approx([0, 4 / 7, 0, 3 / 7])
    assert np.array_equal(greedy(losses, 2), heaviest(losses, greedy(losses), 2))
    best = int(losses.solo.argmin())
    assert heaviest(losses, np.full(4, 0.25), 1)[best] == 1.0  # of equals the better one
