"""Greedy selection against loops, enumeration and small cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from plain_selection import plain_greedy

from ravine.ensembles import selection
from ravine.ensembles.losses import ClassLosses, ValueLosses, class_losses, true_log_p
from ravine.ensembles.pooling import log_softmax, pool_classes
from ravine.ensembles.screen import ERROR, Screen


def members(
    seed: int, num: int = 24, examples: int = 200, loud: float = 1.0
) -> tuple[list[np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    answers = rng.integers(0, 4, examples)
    shared = rng.normal(size=(examples, 4)) * 2 + 2.0 * np.eye(4)[answers]
    return [
        (loud * (shared + rng.normal(size=(examples, 4)) * 1.5)).astype(np.float32) for _ in range(num)
    ], answers


@pytest.mark.parametrize(("seed", "loud"), [(0, 1.0), (1, 1.0), (2, 8.0), (3, 60.0)])
def test_the_choice_is_that_of_plain_loops(seed: int, loud: float) -> None:
    logits, answers = members(seed, loud=loud)
    logits[7], logits[9] = (
        logits[3].copy(),
        logits[3].copy(),
    )  # equals, between which nothing but order decides
    found = selection.greedy(class_losses(logits, answers))
    log_p = np.stack([true_log_p(each, answers) for each in logits])
    expected = plain_greedy(log_p, selection._bags(np.arange(24), 20))
    np.testing.assert_allclose(found, expected, atol=1e-15)
    assert found.sum() == pytest.approx(1.0, abs=1e-15)


def test_of_a_regression_too() -> None:
    rng = np.random.default_rng(4)
    errors = rng.normal(size=(12, 80)) + rng.normal(size=80) + 0.5 * rng.normal(size=(12, 1))
    found = selection.greedy(ValueLosses(errors), num_bags=1)
    (bag,) = (np.sort(selection.shuffled(12, 0, 1)[:6]),)
    order = bag[np.argsort(np.square(errors[bag]).mean(axis=1))]
    prefixes = [np.square(errors[order[:k]].mean(axis=0)).mean() for k in range(1, 7)]
    picks = order[: int(np.argmin(prefixes)) + 1].tolist()
    start, ways = len(picks), [min(prefixes)]
    for _ in range(selection.STEPS):
        after = [np.square(errors[[*picks, j]].mean(axis=0)).mean() for j in bag]
        picks.append(int(bag[int(np.argmin(after))]))
        ways.append(min(after))
    kept = picks[: start + int(np.argmin(ways))]
    expected = np.bincount(kept, minlength=12) / len(kept)
    np.testing.assert_allclose(found, expected, atol=1e-15)


def test_the_best_pool_on_the_way_is_kept_not_the_last() -> None:
    assert selection.first_best([0.10, 0.08, 0.09], 1e-12) == 1
    assert selection.first_best([0.10, 0.08, 0.08 - 1e-14], 1e-12) == 1  # a tie: the fewest members
    good, bad = np.log(np.full((1, 10), 0.9)), np.log(np.full((4, 10), 0.1))
    found = selection.greedy(ClassLosses(np.concatenate([bad, good])))
    assert found.tolist() == [0.0, 0.0, 0.0, 0.0, 1.0]


def test_weights_belong_to_members_in_any_order() -> None:
    with np.errstate(divide="ignore"):
        log_p = np.log(np.array([[0.05] * 8 + [0.6] * 2, [0.95] * 10, [0.0] + [0.9] * 9]))
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        weights = selection.greedy(ClassLosses(log_p[order]))
        by_member = dict(zip(order, weights.tolist(), strict=True))
        assert by_member == {0: 0.0, 1: 1.0, 2: 0.0}


def test_a_member_that_is_no_number_is_never_picked() -> None:
    logits, answers = members(5, num=8)
    logits[2] = np.full_like(logits[2], np.nan)
    found = selection.greedy(class_losses(logits, answers))
    assert found[2] == 0.0
    assert np.isfinite(found).all()
    best = selection.top(class_losses(logits, answers), 3)
    assert best.sum() == 3.0
    assert best[2] == 0.0
    errors = np.ones((3, 5))
    errors[1] = np.inf
    assert selection.greedy(ValueLosses(errors))[1] == 0.0


def test_the_largest_weights_are_kept() -> None:
    logits, answers = members(6)
    losses = class_losses(logits, answers)
    every, few = selection.greedy(losses), selection.greedy(losses, 3)
    assert np.count_nonzero(few) == 3
    assert few.sum() == pytest.approx(1.0)
    assert every[few > 0].min() >= every[few == 0].max()


def test_losses_of_a_pool_are_those_of_its_probabilities() -> None:
    logits, answers = members(7, num=5, loud=200.0)
    weights = np.array([1.0, 0.0, 2.0, 0.5, 1.0])
    used = [each for each, weight in zip(logits, weights, strict=True) if weight]
    whole = pool_classes(used, weights[weights > 0]).log_p
    assert whole is not None
    expected = -whole[np.arange(len(answers)), answers]
    np.testing.assert_allclose(class_losses(logits, answers).each(weights), expected, rtol=1e-12, atol=1e-12)


def test_the_right_classes_log_probability_survives_any_logits() -> None:
    logits = np.array([[0.0, 800.0], [0.0, 1e4], [3.0, 1.0], [-np.inf, 0.0]])
    found = true_log_p(logits, np.zeros(4, dtype=np.int64))
    np.testing.assert_allclose(found, log_softmax(logits)[:, 0])
    assert found[0] == -800.0
    assert found[3] == -np.inf


@pytest.mark.parametrize("examples", [1, 127, 128, 1000])
def test_sums_of_logarithms_in_machine_code(examples: int) -> None:
    rng = np.random.default_rng(8)
    terms = rng.random((7, examples)) ** 20
    sums = np.maximum(rng.random((3, examples)) ** 9 * 20, 2.0**-15)
    bags = [np.array([0, 2, 6]), np.array([1]), np.array([5, 6])]
    found = Screen(terms).mean_logs(sums, bags)
    for number, bag in enumerate(bags):
        expected = np.log(sums[number] + terms[bag]).mean(axis=1)
        np.testing.assert_allclose(found[number], expected, atol=ERROR)


def test_optimism_is_what_folds_show() -> None:
    log_p = -np.random.default_rng(9).exponential(size=(40, 60))  # no member is better than another
    losses = ClassLosses(log_p)
    found = selection.cross_fitted(losses, lambda some: selection.top(some, 1))
    assert found.inside == pytest.approx(losses.solo.min())
    assert found.gap > 0.1
    nothing = selection.cross_fitted(losses, selection.everyone)
    assert nothing.gap == pytest.approx(0.0, abs=1e-12)
