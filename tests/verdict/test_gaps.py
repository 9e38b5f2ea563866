"""How far arms overfit, and whether that falls with n: intervals against a formula, and how often they are wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from ravine.verdict import Reading, falls_of, gaps_of
from ravine.verdict.gaps import summary_of

Trained = dict[tuple[str, int, int], float]


def _readings(
    rng: np.random.Generator, accuracy: dict[int, float], *, draws: int = 4, num_test: int = 400
) -> tuple[list[Reading], Trained]:
    """An arm that knows all that it learned from; its luck on a draw is 2 points."""
    found, trained = [], {}
    for draw in range(draws):
        for n, mean in accuracy.items():
            right = rng.random(num_test) < mean + 0.02 * rng.standard_normal()
            found.append(Reading(arm="a", per_class=n, draw=draw, seed=0, scores=right))
            trained["a", n, draw] = 1.0
    return found, trained


def test_a_gap_is_a_t_over_draws_where_test_examples_are_many() -> None:
    """Every test example is right in the same share of draws' means, so that draws are all of the error."""
    shares = [0.50, 0.56, 0.62, 0.52]
    readings = [
        Reading(arm="a", per_class=5, draw=draw, seed=0, scores=np.full(20_000, share))
        for draw, share in enumerate(shares)
    ]
    trained = {("a", 5, draw): 0.98 for draw in range(4)}
    (gap,) = gaps_of(readings, trained)
    gaps = 0.98 - np.array(shares)
    half = stats.t.ppf(0.975, 3) * gaps.std(ddof=1) / 2
    assert gap.mean == pytest.approx(gaps.mean())
    assert (gap.low, gap.high) == pytest.approx((gaps.mean() - half, gaps.mean() + half), rel=1e-3)
    assert gap.draws == pytest.approx(dict(enumerate(gaps)))


def test_draws_that_share_pictures_say_less() -> None:
    readings, trained = _readings(np.random.default_rng(0), {5: 0.6, 50: 0.7})
    widths = [
        gap.high - gap.low for share in (0.0, 0.5, 1.0) for gap in gaps_of(readings, trained, {50: share})[1:]
    ]
    assert widths == sorted(widths)
    # Between -1 and 1, which two accuracies cannot leave; the fall from there is as little known.
    assert widths[-1] == 2.0
    assert falls_of(readings, trained, {50: 1.0})[0].sign == 0


def test_a_fall_is_paired_by_draw() -> None:
    """A draw's luck that is the same at both n is no part of the fall's error."""
    rng = np.random.default_rng(0)
    hard = rng.random(2000)
    readings, trained = [], {}
    for draw, luck in enumerate((-0.2, 0.0, 0.2)):
        for n, mean in ((5, 0.5), (20, 0.6)):
            readings.append(Reading(arm="a", per_class=n, draw=draw, seed=0, scores=hard < mean + luck))
            trained["a", n, draw] = 1.0
    (fall,) = falls_of(readings, trained)
    assert (fall.few, fall.many, fall.sign) == (5, 20, 1)
    assert fall.size == pytest.approx(0.1, abs=0.02)
    assert fall.high - fall.low < 0.1
    assert all(gap.high - gap.low > 0.4 for gap in gaps_of(readings, trained))
    assert fall.sentence.startswith(
        "The gap of a falls from 49.9 points at n = 5 to 39.8 at n = 20, by 10.1 ("
    )


def test_what_is_not_known_is_not_said() -> None:
    rng = np.random.default_rng(1)
    readings, trained = _readings(rng, {2: 0.4, 5: 0.5, 50: 0.9})
    (fall,) = falls_of(readings, trained)
    assert (fall.few, fall.sign) == (5, 1)  # 2 is not tuned
    lost = Reading(arm="a", per_class=50, draw=0, seed=1, scores=None)
    (other,) = falls_of([*readings, lost], trained)
    assert other.sign == 0
    assert "neither falls nor grows for sure" in other.sentence
    (single,) = falls_of([each for each in readings if each.draw == 0], trained)
    assert single.sign == 0
    assert falls_of([each for each in readings if each.per_class < 50], trained) == ()
    unknown = {**trained, ("a", 5, 0): math.nan}
    assert list(gaps_of(readings, unknown)[1].draws) == [1, 2, 3]
    (grown,) = falls_of(
        readings, {("a", n, draw): 1.0 if n == 50 else 0.45 for n in (5, 50) for draw in range(4)}
    )
    assert grown.sign == -1
    assert "grows" in grown.sentence
    assert "\N{MINUS SIGN}" not in grown.sentence.partition(", by")[2]


def test_equal_gaps_rarely_fall() -> None:
    rng = np.random.default_rng(2)
    found = [falls_of(*_readings(rng, {5: 0.7, 20: 0.7}, num_test=200))[0].sign for _ in range(40)]
    # At 5 % more than 6 of 40 would come up once in 300 times.
    assert sum(each != 0 for each in found) <= 6


def test_an_interval_wider_than_an_accuracy_is_no_interval() -> None:
    """Two draws, whose falls are 0 and 30 points, have 15 with a standard error of 15, and so nothing: t is 12.7."""
    readings, trained = [], {}
    for draw, (few, many) in enumerate(((0.5, 0.5), (0.4, 0.7))):
        for n, share in ((5, few), (20, many)):
            readings.append(
                Reading(arm="a", per_class=n, draw=draw, seed=0, scores=np.arange(1000) < 1000 * share)
            )
            trained["a", n, draw] = 1.0
    (fall,) = falls_of(readings, trained)
    assert fall.size == pytest.approx(0.15)
    assert (fall.low, fall.high) == pytest.approx((0.15 - 12.706 * 0.15, 2.0), abs=0.01)
    assert not fall.known
    assert fall.sentence == (
        "Whether the gap of a falls is not known from 2 draws: it is 55.0 points at n = 5 and 40.0 at n = 20."
    )
    assert summary_of([fall]) == fall.sentence
