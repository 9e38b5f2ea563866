"""Two arms over n pictures per class: the band, the crossover and its set, and how often they are wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from scipy import stats

from ravine.errors import InputError
from ravine.verdict import Outcome, Reading, arm_results, crossover
from ravine.verdict.crossover import number, span


def _readings(
    rng: np.random.Generator,
    accuracy: Mapping[str, Mapping[int, float]],
    *,
    draws: int = 4,
    seeds: int = 1,
    num_test: int = 400,
    draw_sd: float = 0.06,
) -> list[Reading]:
    """Arms whose true accuracy over draws varies as that of Big Transfer: by draw_sd / sqrt(n), mostly in common."""
    found = []
    hard = rng.random(num_test)
    for draw in range(draws):
        common = {n: rng.standard_normal() for n in next(iter(accuracy.values()))}
        for arm, curve in accuracy.items():
            for n, mean in curve.items():
                luck = math.sqrt(0.7) * common[n] + math.sqrt(0.3) * rng.standard_normal()
                share = mean + draw_sd / math.sqrt(n) * luck
                for seed in range(seeds):
                    right = 0.5 * hard + 0.5 * rng.random(num_test) < _quantile(share)
                    found.append(Reading(arm=arm, per_class=n, draw=draw, seed=seed, scores=right))
    return found


def _quantile(share: float) -> float:
    """Of the mean of two uniform numbers."""
    return math.sqrt(share / 2.0) if share < 0.5 else 1.0 - math.sqrt((1.0 - share) / 2.0)


def _flat(rungs: Sequence[int], value: float) -> dict[int, float]:
    return dict.fromkeys(rungs, value)


RUNGS = (2, 5, 10, 20, 50)
CROSSING = {
    "frozen": {2: 0.55, 5: 0.62, 10: 0.66, 20: 0.69, 50: 0.71},
    "tuned": {2: 0.30, 5: 0.45, 10: 0.58, 20: 0.70, 50: 0.84},
}


@pytest.mark.parametrize("draws", [3, 5])
def test_equal_arms_are_rarely_told_apart(draws: int) -> None:
    rng = np.random.default_rng(draws)
    equal = {"a": _flat((5, 10, 20), 0.7), "b": _flat((5, 10, 20), 0.7)}
    outcomes = [
        crossover(_readings(rng, equal, draws=draws, num_test=200), "a", "b").outcome for _ in range(60)
    ]
    # At 5 % more than 7 of 60 would come up once in 90 times.
    assert sum(each is not Outcome.NONE for each in outcomes) <= 7
    assert not any(each in (Outcome.CROSSOVER, Outcome.SEVERAL) for each in outcomes)


def test_the_set_contains_a_known_crossover() -> None:
    rng = np.random.default_rng(0)
    (low, a, b), (high, c, d) = (10, 0.66, 0.58), (20, 0.69, 0.70)
    truth = low * (high / low) ** ((a - b) / ((a - b) - (c - d)))
    found = [crossover(_readings(rng, CROSSING), "frozen", "tuned") for _ in range(25)]
    assert all(each.outcome is Outcome.CROSSOVER for each in found)
    assert sum(any(x <= truth <= y for x, y in each.confidence) for each in found) >= 23
    assert np.median([each.at for each in found]) == pytest.approx(truth, rel=0.15)
    assert found[0].better(5) == "frozen"
    assert found[0].better(50) == "tuned"
    assert found[0].better(2) is None  # nobody tuned there
    assert (
        "frozen is better with few examples per class, tuned with more: they cross near n = "
        in found[0].sentence
    )


def test_swapped_arms_say_the_same() -> None:
    readings = _readings(np.random.default_rng(1), CROSSING)
    one, other = crossover(readings, "frozen", "tuned"), crossover(readings[::-1], "tuned", "frozen")
    assert one.sentence == other.sentence
    assert one.at == pytest.approx(other.at)
    assert [each.low for each in one.rungs] == pytest.approx([-each.high for each in other.rungs])


def test_one_rung_is_a_paired_t_over_draws_and_examples() -> None:
    """Nothing to borrow from: Student's t of the draws' differences, widened only by the test examples."""
    rng = np.random.default_rng(2)
    readings = _readings(
        rng, {"a": {10: 0.8}, "b": {10: 0.6}}, draws=5, seeds=2, num_test=100_000, draw_sd=0.3
    )
    (rung,) = crossover(readings, "a", "b").rungs
    draws = list(rung.draws.values())
    t = stats.ttest_1samp(draws, 0.0).confidence_interval(0.95)
    assert rung.mean == pytest.approx(np.mean(draws))
    assert (rung.low, rung.high) == pytest.approx((t.low, t.high), abs=0.03 * (t.high - t.low))


def test_test_examples_are_part_of_the_error() -> None:
    """Draws that agree exactly say nothing of other test examples: the band is then McNemar's, about."""
    rng = np.random.default_rng(3)
    scores = {"a": rng.random(300) < 0.7, "b": rng.random(300) < 0.7}
    readings = [
        Reading(arm=arm, per_class=10, draw=draw, seed=0, scores=some)
        for arm, some in scores.items()
        for draw in range(4)
    ]
    (rung,) = crossover(readings, "a", "b").rungs
    difference = scores["a"].astype(float) - scores["b"]
    normal = 1.96 * float(np.sqrt((difference**2).sum())) / 300
    assert normal < rung.high - rung.mean < 1.05 * normal


def test_outcomes() -> None:
    rng = np.random.default_rng(4)

    def outcome(a: Mapping[int, float], b: Mapping[int, float], **more: int) -> tuple[Outcome, str]:
        found = crossover(_readings(rng, {"a": a, "b": b}, draw_sd=0.01, **more), "a", "b")
        return found.outcome, found.sentence

    low, high = _flat((5, 20, 80), 0.4), _flat((5, 20, 80), 0.8)
    assert outcome(high, low) == (Outcome.ALL, "a is better than b for all n from 5 to 80.")
    assert outcome(low, high) == (Outcome.ALL, "b is better than a for all n from 5 to 80.")
    found, text = outcome({5: 0.8, 20: 0.4, 80: 0.4}, {5: 0.4, 20: 0.4, 80: 0.4})
    assert (found, text[:27]) == (Outcome.SOME, "a is better than b at n = 5")
    found, text = outcome({5: 0.8, 20: 0.4, 80: 0.8}, {5: 0.4, 20: 0.8, 80: 0.4})
    assert (found, text) == (
        Outcome.SEVERAL,
        "a and b change places more than once: a is better at n = 5, b is better at n = 20, a is better at n = 80.",
    )
    assert outcome({5: 0.5}, {5: 0.5}) == (Outcome.NONE, "a and b are not separable at n = 5.")
    assert outcome(high, low, draws=1)[0] is Outcome.ONE_DRAW
    assert outcome(_flat((1, 2), 0.8), _flat((1, 2), 0.4))[0] is Outcome.UNTUNED


def test_a_set_between_rungs_is_on_lines_over_log_n() -> None:
    found = crossover(
        _readings(np.random.default_rng(5), CROSSING, draws=5, num_test=4000), "frozen", "tuned"
    )
    rungs = {each.per_class: each for each in found.rungs}
    ((low, high),) = found.confidence
    assert found.at is not None
    assert 10 < low < found.at < high < 50
    n, m = (10, 20) if low < 20 else (20, 50)
    share = math.log(low / n) / math.log(m / n)
    assert (1 - share) * rungs[n].low + share * rungs[m].low == pytest.approx(0.0, abs=1e-12)


def test_an_arm_that_lost_runs_is_never_the_better_one() -> None:
    readings = _readings(np.random.default_rng(6), {"a": _flat((5, 20), 0.9), "b": _flat((5, 20), 0.5)})
    assert crossover(readings, "a", "b").outcome is Outcome.ALL
    lost = [
        Reading(arm=r.arm, per_class=r.per_class, draw=r.draw, seed=r.seed, scores=None)
        if (r.arm, r.per_class, r.draw) == ("a", 20, 0)
        else r
        for r in readings
    ]
    found = crossover(lost, "a", "b")
    assert (found.outcome, found.better(5), found.better(20)) == (Outcome.SOME, "a", None)
    assert len(found.rungs[1].draws) == 3
    assert [each.lost for each in arm_results(lost)] == [0, 1, 0, 0]


def test_draws_that_share_most_of_their_pictures_say_less() -> None:
    readings = _readings(np.random.default_rng(7), CROSSING, num_test=20_000)
    few, many, all_ = (
        crossover(readings, "frozen", "tuned", shares={50: share}).rungs[-1] for share in (0.0, 0.5, 1.0)
    )
    # Four draws: (1 + 3 / 2) / (1 / 2) = 5 times the variance of the draws.
    assert 1.5 < (many.high - many.low) / (few.high - few.low) <= math.sqrt(5.0)
    assert all_.low < 0.0 < all_.high
    own = [arm_results(readings, {50: share})[4] for share in (0.0, 0.5, 1.0)]
    widths = [each.high - each.low for each in own if each.high is not None and each.low is not None]
    assert widths[0] < widths[1] < widths[2]


def test_more_pairs_and_more_rungs_make_a_wider_band() -> None:
    readings = _readings(np.random.default_rng(8), CROSSING)
    one, three = (crossover(readings, "frozen", "tuned", num_pairs=pairs).rungs[2] for pairs in (1, 3))
    assert three.high - three.low > one.high - one.low


def test_bad_input() -> None:
    some = _readings(np.random.default_rng(9), {"a": {5: 0.5}})
    with pytest.raises(InputError, match="'a' and 'b' have no finished runs at the same n and draw"):
        crossover(some, "a", "b")
    other = [Reading(arm="b", per_class=5, draw=0, seed=0, scores=np.ones(7))]
    with pytest.raises(InputError, match="tested on 7 and 400 examples"):
        crossover([*some, *other], "a", "b")


def test_numbers_in_words() -> None:
    assert [number(n) for n in (5.0, 9.96, 12.4, 123.0)] == ["5", "10", "12", "120"]
    assert span([(5.0, 7.5), (20.0, 31.0)]) == "5 to 7.5 and 20 to 31"
