"""Procedures over folds: the corrected t against its formula, and how often equals are told apart."""

import math

import numpy as np
import pytest
from scipy import stats

from ravine.verdict import ACCURACY, SQUARED_ERROR, OnFold, corrected_error, over_folds
from ravine.verdict.folds import gains_over_folds
from ravine.verdict.student import half_width, tail


def test_the_corrected_t_is_nadeau_and_bengios():
    rng = np.random.default_rng(0)
    for num, ratio in ((5, 0.25), (10, 1 / 9), (20, 0.25), (3, 0.5)):
        differences = rng.normal(0.02, 0.01, num)
        error = corrected_error(differences, ratio)
        mean = float(differences.mean())
        t = mean / math.sqrt((1 / num + ratio) * differences.var(ddof=1))
        assert tail(error, mean) == pytest.approx(2 * stats.t.sf(abs(t), num - 1), rel=1e-8)
        expected = stats.t.ppf(0.975, num - 1) * abs(mean / t)
        assert half_width(error, 0.05) == pytest.approx(expected, rel=1e-7)


def test_folds_that_agree_by_luck_are_no_proof():
    same = np.full(5, 1 / 30)
    assert tail(corrected_error(same, 0.25), 1 / 30) == 0.0  # the formula alone is sure of it
    assert tail(corrected_error(same, 0.25, floor=1 / 60), 1 / 30) == pytest.approx(
        2 * stats.norm.sf(2), rel=1e-4
    )


def on_folds(rule, scores, **more):
    """A rule with scores by fold, seeds in rows: {(repeat, fold): (S, n)}."""
    return [
        OnFold(
            rule=rule,
            repeat=repeat,
            fold=fold,
            scores=dict(enumerate(np.asarray(table, dtype=np.float64))),
            validation=0.5,
            **more,
        )
        for (repeat, fold), table in scores.items()
    ]


def drawn(share, seed, folds=5, repeats=1, num=60, seeds=2):
    rng = np.random.default_rng(seed)
    return {(r, k): rng.random((seeds, num)) < share for r in range(repeats) for k in range(folds)}


def test_runs_are_paired_by_fold_and_seed_and_the_difference_is_that_of_the_means():
    a, b = drawn(0.9, 0, repeats=2), drawn(0.6, 1, repeats=2)
    results, (pair,) = over_folds([*on_folds("b", b), *on_folds("a", a)], 0.25, ACCURACY, 0.05)
    assert [each.rule for each in results] == ["a", "b"]
    by_fold = np.array([a[at].mean() - b[at].mean() for at in a])
    assert pair.difference == pytest.approx(by_fold.mean())
    assert pair.p == pytest.approx(tail(corrected_error(by_fold, 0.25, pair.example_error), pair.difference))
    assert pair.separable
    assert pair.ci[0] > 0.0
    assert results[0].ci[0] < results[0].test < results[0].ci[1] <= 1.0


def test_the_order_of_what_goes_in_plays_no_part():
    a, b, c = (on_folds(rule, drawn(0.8, seed)) for seed, rule in enumerate("abc"))
    assert over_folds([*a, *b, *c], 0.25, ACCURACY, 0.05) == over_folds(
        [*c[::-1], *a, *b[::-1]], 0.25, ACCURACY, 0.05
    )


def test_a_rule_that_lost_a_run_is_not_called_better():
    a = on_folds("a", drawn(0.99, 0))
    a[0] = OnFold(rule="a", repeat=0, fold=0, scores=a[0].scores, validation=0.5, lost=1)
    results, (pair,) = over_folds([*a, *on_folds("b", drawn(0.5, 1))], 0.25, ACCURACY, 0.05)
    assert not pair.separable
    assert {each.rule: each.outcome for each in results}["a"] == "1 of 11 chosen runs diverged"
    assert results[0].rule == "b"


def test_a_rule_of_which_no_run_finished_has_no_result():
    lost = [OnFold(rule="a", repeat=0, fold=k, scores={}, validation=None, lost=2) for k in range(5)]
    results, pairs = over_folds([*lost, *on_folds("b", drawn(0.5, 1))], 0.25, ACCURACY, 0.05)
    assert [each.config is None for each in results] == [False, True]
    assert pairs == ()


def procedures(rng, num, unlike):
    """A data set, and two learners that are equally good in expectation: each sees its own half of the features."""
    y = np.arange(num) % 2
    x = rng.normal(size=(num, 12))
    x[:, 0] += 0.9 * y
    x[:, 6] += 0.9 * y

    def learn(train, test, half, seed):
        features = slice(6 * half, 6 * half + 6) if unlike else slice(0, 6)
        own = np.random.default_rng([seed, half]).choice(train, len(train))  # the luck of a seed: a bootstrap
        means = [x[own][y[own] == label][:, features].mean(axis=0) for label in (0, 1)]
        far = [((x[test][:, features] - mean) ** 2).sum(axis=1) for mean in means]
        return (far[1] < far[0]) == y[test]

    return y, learn


def false_positives(studies, *, unlike, folds=5, repeats=1, num=120, seeds=2):
    wrong = 0
    for study in range(studies):
        rng = np.random.default_rng([study, folds, repeats, unlike])
        y, learn = procedures(rng, num, unlike)
        found = []
        for repeat in range(repeats):
            number = np.empty(num, dtype=int)
            for label in (0, 1):
                own = rng.permutation(np.flatnonzero(y == label))
                number[own] = np.arange(len(own)) % folds
            for fold in range(folds):
                train, test = np.flatnonzero(number != fold), np.flatnonzero(number == fold)
                for half, rule in enumerate("ab"):
                    table = [learn(train, test, half, [study, repeat, fold, s]) for s in range(seeds)]
                    found += on_folds(rule, {(repeat, fold): np.array(table)})
        wrong += over_folds(found, 1 / (folds - 1), ACCURACY, 0.05)[1][0].separable
    return wrong


@pytest.mark.parametrize("unlike", [False, True])
def test_equals_are_rarely_told_apart(unlike):
    # Binomial: at 5 % more than 9 of 60 have a probability of 0.1 %.
    assert false_positives(60, unlike=unlike) <= 9


@pytest.mark.slow
@pytest.mark.parametrize("unlike", [False, True])
@pytest.mark.parametrize(("folds", "repeats"), [(5, 1), (5, 2), (10, 1)])
def test_equals_are_told_apart_in_at_most_16_of_200(folds, repeats, unlike):
    assert false_positives(200, unlike=unlike, folds=folds, repeats=repeats) <= 16


def test_losses_have_no_bounds():
    rng = np.random.default_rng(0)
    a, b = ({(0, k): -rng.exponential(scale, (2, 40)) for k in range(5)} for scale in (1.0, 3.0))
    results, (pair,) = over_folds([*on_folds("a", a), *on_folds("b", b)], 0.25, SQUARED_ERROR, 0.05)
    assert pair.difference > 1.0
    assert results[0].ci[1] <= 0.0


@pytest.mark.parametrize("measure", [ACCURACY, SQUARED_ERROR])
def test_rules_that_share_fewer_than_two_folds_have_no_interval(measure):
    """Runs of b are lost in all folds but one: nothing is known of how far off the difference is."""
    a, b = drawn(0.9, 0), drawn(0.6, 1)
    lost = {at: table if at[1] == 0 else np.zeros((0, 60)) for at, table in b.items()}
    tested = [*on_folds("a", a), *on_folds("b", lost)]
    results, (pair,) = over_folds(tested, 0.25, measure, 0.05)
    assert pair.ci is None
    assert pair.detectable is None
    assert not pair.separable
    assert pair.outcome == "not separable: fewer than two folds have runs of both"
    (gain,) = gains_over_folds("a", results, tested, 0.25, measure, 0.05)
    assert (gain.low, gain.high, gain.sign) == (None, None, 0)
    _, (pair,) = over_folds([*on_folds("a", a), *on_folds("b", b)], 0.25, measure, 0.05)
    assert pair.ci is not None
