"""The gain against the number of members, against enumeration and simulation."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from ravine.ensembles import disagreement, gain
from ravine.ensembles.pooling import log_softmax
from ravine.metrics import metric_named, values_of

RNG = np.random.default_rng(2)
NUM, EXAMPLES = 6, 50
ANSWERS = RNG.integers(0, 3, EXAMPLES)
SHARED = RNG.normal(size=(EXAMPLES, 3)) + 1.5 * np.eye(3)[ANSWERS]
LOGITS = [SHARED + RNG.normal(size=(EXAMPLES, 3)) for _ in range(NUM)]
P = np.exp(log_softmax(np.stack(LOGITS)))
ONE_HOT = np.eye(3)[ANSWERS]


def enumerated(size: int) -> dict[str, float]:
    pools = [P[list(each)].mean(axis=0) for each in combinations(range(NUM), size)]
    return {
        "nll": float(np.mean([-np.log(p[np.arange(EXAMPLES), ANSWERS]).mean() for p in pools])),
        "accuracy": float(np.mean([(p.argmax(axis=1) == ANSWERS).mean() for p in pools])),
        "brier": float(np.mean([np.square(p - ONE_HOT).sum(axis=1).mean() for p in pools])),
    }


def test_the_mean_over_all_subsets_is_that_of_enumeration() -> None:
    found = gain.of_classes(LOGITS, ANSWERS)
    assert [each.members for each in found] == [1, 2, 3, 4, 5, 6]
    for each in found:
        for name, expected in enumerated(each.members).items():
            assert each.scores[name].value == pytest.approx(expected, abs=1e-12)


def test_the_closed_form_of_squared_errors_is_enumeration() -> None:
    errors = RNG.normal(size=(NUM, EXAMPLES)) * 7
    found = gain.of_values(list(errors + 3.0), np.full(EXAMPLES, 3.0))
    for each in found:
        pools = [
            np.square(errors[list(some)].mean(axis=0)).mean()
            for some in combinations(range(NUM), each.members)
        ]
        assert each.scores["mse"].value == pytest.approx(float(np.mean(pools)), rel=1e-12)


def test_at_all_members_an_interval_covers_examples_only() -> None:
    *before, last = gain.of_classes(LOGITS, ANSWERS)
    assert {value.covers for each in before for value in each.scores.values()} == {"seeds"}
    assert {value.covers for value in last.scores.values()} == {"examples"}
    for each in (*before, last):
        for value in each.scores.values():
            assert value.interval is None or value.interval[0] <= value.value <= value.interval[1]


def test_the_jackknife_of_single_members_is_students_interval() -> None:
    scores = np.array([-np.log(p[np.arange(EXAMPLES), ANSWERS]).mean() for p in P])
    low, high = gain.of_classes(LOGITS, ANSWERS)[0].scores["nll"].interval or (0.0, 0.0)
    half = 2.570581835636314 * scores.std(ddof=1) / math.sqrt(NUM)  # t with 5 degrees of freedom
    assert (low, high) == pytest.approx((scores.mean() - half, scores.mean() + half), rel=1e-6)


def test_a_forecast_ends_at_the_pairs() -> None:
    products = gain.class_products(P, ANSWERS)
    found = gain.forecast("brier", products)
    assert found is not None
    pairs = products[~np.eye(NUM, dtype=bool)].mean()
    assert found.limit.value == pytest.approx(pairs)
    assert found.now == pytest.approx(enumerated(NUM)["brier"], abs=1e-12)
    assert found.limit.value < found.twice.value < found.now
    assert gain.forecast("brier", products[:1, :1]) is None


@pytest.mark.parametrize("classes", [2, 3])
def test_one_scale_of_brier_scores_is_scikit_learns(classes: int) -> None:
    logits = [RNG.normal(size=(40, classes)) for _ in range(4)]
    answers = RNG.integers(0, classes, 40)
    p_RNK = np.exp(log_softmax(np.stack(logits)))
    found = gain.of_classes(logits, answers)
    products = gain.class_products(p_RNK, answers)
    alone = [brier_score_loss(answers, p if classes > 2 else p[:, 1], labels=range(classes)) for p in p_RNK]
    together = brier_score_loss(
        answers, p_RNK.mean(axis=0)[:, 1] if classes == 2 else p_RNK.mean(axis=0), labels=range(classes)
    )
    assert found[0].scores["brier"].value == pytest.approx(np.mean(alone), rel=1e-12)
    assert found[-1].scores["brier"].value == pytest.approx(together, rel=1e-12)
    assert np.diag(products) == pytest.approx(alone, rel=1e-12)
    assert values_of([metric_named("brier")], "classification", logits, answers)["brier"] == pytest.approx(
        alone
    )


def test_an_infinite_loss_has_no_interval_and_warns_of_nothing() -> None:
    sure = [np.array([[1e4, 0.0]]), np.array([[0.0, 1e4]])]
    alone, both = gain.of_classes(sure, np.array([1]))
    assert (alone.scores["nll"].value, alone.scores["nll"].interval) == (math.inf, None)
    assert both.scores["nll"].value == pytest.approx(math.log(2.0))
    assert both.scores["brier"].value == pytest.approx(0.25)


def test_a_forecast_of_few_agrees_with_many() -> None:
    """From 8 members, the squared error of 16 and of 200 others like them."""
    shared = RNG.normal(size=2000)
    errors = shared + RNG.normal(size=(208, 2000))
    found = gain.forecast("mse", gain.value_products(errors[:8]))
    assert found is not None
    assert found.twice.value == pytest.approx(np.square(errors[:16].mean(axis=0)).mean(), rel=0.02)
    assert found.limit.value == pytest.approx(np.square(errors[8:].mean(axis=0)).mean(), rel=0.03)


def test_intervals_cover_other_seeds() -> None:
    """Of 100 studies of 6 seeds, at least 93 % of the 95 % bands contain what infinitely many seeds would give."""
    examples, size, hits = 20, 3, 0
    shared = RNG.normal(size=examples)
    truth = (np.square(shared) + 1.0 / size).mean()
    for _ in range(100):
        errors = shared + RNG.normal(size=(6, examples))
        value = gain.of_values(list(errors), np.zeros(examples))[size - 1].scores["mse"]
        assert value.interval is not None
        hits += value.interval[0] <= truth <= value.interval[1]
    assert hits >= 93


def test_subsets_are_all_or_many_of_the_right_size() -> None:
    every = gain.subsets_of(6, 3, 100)
    assert len(np.unique(every, axis=0)) == 20
    some = gain.subsets_of(30, 12, 64)
    assert (some.sum(axis=1) == 12).all()
    assert some.sum(axis=0).tolist() == [36] * 30  # 90 subsets, each member in equally many
    assert (some == gain.subsets_of(30, 12, 64)).all()  # by a key: the same each time
    assert not gain.subsets_of(103, 100, 128).all(axis=0).any()  # each member is left out of some


def test_many_members_are_sampled_without_bias() -> None:
    logits = [SHARED + RNG.normal(size=(EXAMPLES, 3)) for _ in range(14)]
    found = {each.members: each.scores for each in gain.of_classes(logits, ANSWERS)}
    p = np.exp(log_softmax(np.stack(logits)))
    pools = (p[list(each)].mean(axis=0)[np.arange(EXAMPLES), ANSWERS] for each in combinations(range(14), 7))
    exact = float(np.mean([-np.log(each).mean() for each in pools]))
    assert found[7]["nll"].value == pytest.approx(exact, abs=2e-3)
    assert found[7]["nll"].interval is not None


def test_disagreement() -> None:
    classes = [np.array([0, 1, 2, 2]), np.array([0, 1, 1, 1]), np.array([2, 1, 1, 1])]
    assert disagreement.of_classes(classes).tolist() == [[0, 0.5, 0.75], [0.5, 0, 0.25], [0.75, 0.25, 0]]
    assert disagreement.of_values([np.zeros(2), np.array([3.0, 4.0])])[0, 1] == pytest.approx(math.sqrt(12.5))
    assert disagreement.mean_of_pairs(disagreement.of_classes(classes)) == pytest.approx(0.5)
    assert disagreement.mean_of_pairs(np.zeros((1, 1))) == 0.0
