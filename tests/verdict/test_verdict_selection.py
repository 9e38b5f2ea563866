"""Which configuration is chosen, and the exact order statistics behind it."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from verdict_studies import Reader, study, trial

from ravine.errors import InputError
from ravine.verdict import judge
from ravine.verdict.measure import ACCURACY, measure_of
from ravine.verdict.selection import best_of, median_rank, ranked
from ravine.verdict.trials import Candidate, Trial, gather
from ravine.verdict.tuning import luck_of, shortfall_error


def candidate(config: str, mean: float, *, lost: int = 0, lr: float = 0.1, **factors: float) -> Candidate:
    scores = {0: mean}
    return Candidate(
        rule="r",
        config=config,
        hypers={"lr": lr, **{name.replace("__", "."): value for name, value in factors.items()}},
        runs={0: config},
        scores=scores,
        validation={0: np.array([mean])},
        diverged=lost,
        lost=lost,
    )


@pytest.mark.parametrize(("num", "k"), [(1, 1), (5, 1), (5, 2), (6, 3), (7, 7), (8, 5)])
def test_rank_of_the_best_of_k_equals_enumeration(num: int, k: int) -> None:
    counts = np.zeros(num)
    for drawn in combinations(range(num), k):
        counts[min(drawn)] += 1
    np.testing.assert_allclose(best_of(num, k), counts / counts.sum(), atol=1e-14)


def test_rank_distribution_of_a_large_grid_sums_to_one() -> None:
    for k in (1, 7, 250, 500):
        assert best_of(500, k).sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(("num", "k"), [(9, 9), (12, 4), (27, 9), (100, 3)])
def test_median_rank_is_the_first_reached_by_half_of_the_searches(num: int, k: int) -> None:
    rank = median_rank(num, k)
    assert best_of(num, k)[:rank].sum() >= 0.5 - 1e-12
    assert best_of(num, k)[: rank - 1].sum() < 0.5


def test_highest_mean_first_lost_seeds_last_ties_to_the_smaller_lr() -> None:
    order = ranked(
        [
            candidate("lost", 0.99, lost=1),
            candidate("tie-large", 0.9, lr=1.0),
            candidate("tie-small", 0.9, lr=0.1),
            candidate("best", 0.95),
        ]
    )
    assert [c.config for c in order] == ["best", "tie-small", "tie-large", "lost"]


def test_ties_go_to_the_plainer_config_then_to_the_smaller_lr() -> None:
    order = ranked(
        [
            candidate("better", 0.95, model__dropout=0.5, label_smoothing=0.1),
            candidate("a", 0.9, lr=1e-3, model__dropout=0.2, label_smoothing=0.1),
            candidate("b", 0.9, lr=1e-3, model__dropout=0.2),
            candidate("c", 0.9, lr=1e-3, model__dropout=0.1),
            candidate("d", 0.9, lr=0.1, model__dropout=0.0, label_smoothing=0.0),
            candidate("e", 0.9, lr=0.01),
            candidate("f", 0.9, lr=0.01, model__dropout=0.0),
        ]
    )
    assert [c.config for c in order] == ["better", "e", "f", "d", "c", "b", "a"]


def test_choice_is_by_the_mean_over_seeds_not_by_the_luckiest_seed() -> None:
    lucky = {0: 1.0, 1: 0.5, 2: 0.5}
    steady = {0: 0.8, 1: 0.8, 2: 0.8}
    ones = np.ones(10)
    trials = [trial("r", c, s, v * ones) for c, by in (("l", lucky), ("s", steady)) for s, v in by.items()]
    verdict = judge(trials, lambda run: ones, measure=ACCURACY)
    assert verdict.rules[0].config == "s"


def test_test_is_read_once_for_the_chosen_runs_and_for_no_other() -> None:
    trials, tests = study({"a": (0.5, 0.9, 0.6), "b": (0.8, 0.4)})
    verdict = judge(trials, tests, measure=ACCURACY)
    chosen = [run for r in verdict.rules for run in r.runs]
    assert sorted(tests.read) == sorted(chosen)
    assert len(tests.read) == 2 * 3
    assert {run.rsplit("/", 1)[0] for run in tests.read} == {f"{r.rule}/{r.config}" for r in verdict.rules}


def test_test_scores_play_no_part_in_the_choice() -> None:
    trials, tests = study({"a": (0.6, 0.9), "b": (0.6, 0.9)})
    flipped = Reader({run: 1.0 - s for run, s in tests.scores.items()})
    first, second = (judge(trials, t, measure=ACCURACY) for t in (tests, flipped))
    assert {r.rule: r.config for r in first.rules} == {r.rule: r.config for r in second.rules}


def test_unequal_budgets_are_compared_at_the_smallest() -> None:
    """Rule b has 9 configurations to a's 3: it is represented by what 3 trials reach in the median."""
    trials, tests = study({"a": (0.5, 0.7, 0.9), "b": [0.5 + 0.05 * i for i in range(9)]}, n=4000)
    verdict = judge(trials, tests, measure=ACCURACY)
    by_rule = {r.rule: r for r in verdict.rules}
    assert verdict.num_configs == 3
    assert by_rule["a"].rank == 1
    assert by_rule["b"].rank == median_rank(9, 3) == 2
    assert by_rule["b"].best_config == "c8" != by_rule["b"].config
    assert any("Unequal tuning budgets" in w for w in verdict.warnings)


def test_median_search_that_meets_only_divergence_takes_the_last_that_finished() -> None:
    rng = np.random.default_rng(0)
    scores = (rng.random(50) < 0.5).astype(float)
    trials = [trial("a", "only", s, scores) for s in range(3)]
    trials += [trial("b", f"c{i}", s, scores if i == 0 else None) for i in range(9) for s in range(3)]
    verdict = judge(trials, lambda run: scores, measure=ACCURACY)
    assert next(r for r in verdict.rules if r.rule == "b").config == "c0"


def test_scores_that_are_not_finite_count_as_diverged() -> None:
    ok, bad = np.ones(4), np.array([1.0, np.nan, 1.0, 1.0])
    group = gather([trial("r", "c", 0, ok), trial("r", "c", 1, bad)])["r"]
    assert (group[0].diverged, group[0].lost, sorted(group[0].runs)) == (1, 1, [0])


def test_what_cannot_be_judged_is_refused_in_one_line() -> None:
    ones = np.ones(4)
    cases = [
        ([], "nothing to judge"),
        ([trial("r", "c", 0, ones), trial("r", "c", 0, ones)], "seed more than once"),
        ([trial("r", "c", 0, ones), trial("r", "c", 1, np.ones(5))], "4 and 5 examples"),
        ([trial("r", "c", 0, np.ones((2, 2)))], "shape"),
        ([trial("r", "c", 0, np.ones(0))], "shape"),
    ]
    for trials, text in cases:
        with pytest.raises(InputError, match=text) as refused:
            judge(trials, lambda run: ones, measure=ACCURACY)
        assert "\n" not in str(refused.value)
    good = [trial("r", "c", s, ones) for s in range(2)]
    with pytest.raises(InputError, match="did you mean 'regression'"):
        measure_of("regresion")
    with pytest.raises(InputError, match="alpha"):
        judge(good, lambda run: ones, measure=ACCURACY, alpha=1.5)
    with pytest.raises(InputError, match="4 and 5 examples"):
        judge(good, lambda run: np.ones(4 if run.endswith("0") else 5), measure=ACCURACY)
    with pytest.raises(InputError, match="shape"):
        judge(good, lambda run: np.ones((2, 2)), measure=ACCURACY)


def test_the_shortfall_has_the_moments_of_a_clipped_normal() -> None:
    rng = np.random.default_rng(0)
    for lead, scale, most in (
        (0.0, 1.0, 0.5),
        (0.3, 1.0, 2.0),
        (5.0, 4.0, 1.0),
        (1.0, 0.5, 0.0),
        (0.2, 1.0, math.inf),
    ):
        drawn = np.clip(rng.normal(-lead, scale, 2_000_000), 0.0, most)
        # three standard errors of the sample variance of a bounded variable
        assert shortfall_error(lead, scale, most) ** 2 == pytest.approx(drawn.var(), abs=3e-3)


def test_a_rival_that_falls_apart_in_one_seed_does_not_blur_a_good_choice() -> None:
    rng = np.random.default_rng(1)

    def runs(config: str, accuracies: tuple[float, ...]) -> list[Trial]:
        return [
            Trial(
                rule="adam",
                config=config,
                hypers={"lr": 0.1},
                seed=seed,
                run=f"{config}{seed}",
                diverged=False,
                validation=(rng.random(400) < accuracy).astype(np.float64),
            )
            for seed, accuracy in enumerate(accuracies)
        ]

    trials = runs("good", (0.97, 0.97, 0.97)) + runs("wild", (0.97, 0.96, 0.1))
    (group,) = gather(trials).values()
    good = next(c for c in group if c.config == "good")
    assert luck_of(group, good, ACCURACY).error() < 0.01  # it was 0.1: ten points
