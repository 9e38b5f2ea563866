"""Right values where the verdict was once wrong: few examples, rare errors, survivors, advice, own intervals."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from verdict_studies import Reader, bits, study, trial

from ravine.verdict import Trial, Verdict, judge
from ravine.verdict.comparison import difference_error, p_value, pooled, width
from ravine.verdict.measure import ACCURACY, measure_of
from ravine.verdict.own_interval import mean_interval
from ravine.verdict.planning import detectable, seeds_needed
from ravine.verdict.student import Error
from ravine.verdict.tuning import Luck, Rival

Array = NDArray[np.float64]


def of(tables: dict[str, Array], task: str = "classification") -> Verdict:
    """The verdict on (S, n) test scores of rules with one configuration each; validation says nothing."""
    trials, scores = [], {}
    for rule, table in tables.items():
        for seed, row in enumerate(table):
            trials.append(trial(rule, "c", seed, np.zeros(500)))
            scores[trials[-1].run] = row
    return judge(trials, Reader(scores), measure=measure_of(task))


def words(verdict: Verdict) -> str:
    return " ".join(verdict.sentences + verdict.warnings)


@pytest.mark.parametrize("n", range(1, 9))
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_all_examples_gained_are_judged_like_a_sign_test(n: int, task: str) -> None:
    """Runs without noise, one rule better on every example by as much: only their number counts."""
    losing = np.zeros((3, n)) if task == "classification" else np.full((3, n), -1.0)
    gaining = losing + 1.0 if task == "classification" else losing + 0.75
    pair = of({"a": gaining, "b": losing}, task).pairs[0]
    exact = stats.binomtest(n, n).pvalue
    assert pair.separable == (exact <= 0.05)
    if exact > 0.02:  # a normal is not trusted further out than that
        assert pair.p == pytest.approx(exact, rel=0.45)  # 0.062 at five, where 3e-15 was said


def test_one_test_example_tells_nothing() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        a, b = (-np.tile(rng.standard_normal(1) ** 2, (10, 1)) for _ in "ab")
        assert not of({"a": a, "b": b}, "regression").separable


def test_no_example_that_differs_still_leaves_one_each_way() -> None:
    """Of 360 examples none differs in ten runs; a true difference of 0.3 points is one example in a study."""
    same = np.ones((10, 360))
    error = difference_error(same, same, matched=True, binary=True)
    assert error.example == pytest.approx(math.sqrt(2.0) / 360)
    assert width(error, 0.05) > 0.003


def test_a_rule_that_leads_by_survivors_gets_no_difference_and_no_seeds() -> None:
    trials, tests = study({"frail": (1.0,), "sound": (0.0,)}, seeds=4, n=200)
    trials = [replace(t, diverged=True, validation=None) if t.run == "frail/c0/0" else t for t in trials]
    verdict = judge(trials, tests, measure=ACCURACY)
    assert verdict.sentences[1] == (
        "They are not separable: frail leads only by its surviving runs"
        " (1 of 4 seeds diverged with the chosen hypers)."
    )
    (pair,) = verdict.pairs
    assert (pair.seeds_needed, pair.ci[1]) == (None, 0.0)
    assert "seeds would tell" not in words(verdict)
    assert "Too few seeds" not in words(verdict)


def test_the_only_survivor_is_not_called_ahead() -> None:
    trials, tests = study({"a": (0.9,)})
    trials += [trial("b", "c", s, None) for s in range(3)]
    verdict = judge(trials, tests, measure=ACCURACY)
    assert (verdict.standing("a"), verdict.standing("b")) == ("only result", "")
    assert verdict.sentences[1] == "Nothing is compared: no other rule has a result."


def test_test_scores_that_are_never_finite_are_not_called_divergence() -> None:
    trials, tests = study({"a": (0.9,), "b": (0.8,)})
    for run in [run for run in tests.scores if run.startswith("b")]:
        tests.scores[run] = np.full(300, np.nan)
    verdict = judge(trials, tests, measure=ACCURACY)
    assert (
        "b: the test scores of its chosen hypers are not finite: check the model and the data."
        in verdict.warnings
    )
    assert "diverged" not in words(verdict)


def test_luck_of_tuning_shrinks_with_the_seeds_and_not_below_the_examples() -> None:
    rival = Rival(lead=0.0, seed=0.3, example=0.4, most=math.inf)
    luck = Luck(rivals=(rival,))
    for more in (1.0, 4.0, 100.0):
        scale = math.sqrt(0.3**2 / more + 0.4**2)
        assert luck.error(more) == pytest.approx(scale * math.sqrt(0.5 - 0.5 / math.pi), rel=1e-12)
    assert luck.error(math.inf) == pytest.approx(0.4 * math.sqrt(0.5 - 0.5 / math.pi), rel=1e-12)
    assert Luck().error() == 0.0


def test_fewer_seeds_are_needed_where_tuning_gets_surer_with_them() -> None:
    error = Error(seed=0.005, df=4.0, floor=0.001, example=0.001)
    rival = Rival(lead=0.0, seed=0.02, example=0.001, most=math.inf)
    luck = Luck(rivals=(rival,)).error
    fixed = luck(1.0)
    shrinking = seeds_needed(error, luck, 0.02, 3, 0.05)
    constant = seeds_needed(error, lambda more: fixed, 0.02, 3, 0.05)
    assert shrinking is not None
    assert constant is None or shrinking < constant


def test_advice_comes_with_what_could_be_seen_and_what_would_be_found() -> None:
    rng = np.random.default_rng(3)
    tables = {rule: np.stack([bits(rng, level, 3000) for level in levels]) for rule, levels in
              (("a", (0.86, 0.81, 0.85)), ("b", (0.80, 0.83, 0.79)))}  # fmt: skip
    verdict = of(tables)
    (pair,) = verdict.pairs
    assert pair.seeds_needed is not None
    assert pair.detectable is not None
    assert f"about {pair.seeds_needed} seeds would tell whether it is real" in verdict.sentences[1]
    (caution,) = (w for w in verdict.warnings if w.startswith("Too few seeds"))
    assert f"only an observed difference above {100 * pair.reach:.1f} points counts as separable" in caution
    assert (
        f"a true difference of {100 * pair.detectable:.1f} points would be found in four of five" in caution
    )
    assert "Fix the number of seeds" in caution


def test_where_the_examples_are_too_few_no_seeds_are_asked_for() -> None:
    rng = np.random.default_rng(0)
    a, b = (np.tile(bits(rng, level, 50), (4, 1)) for level in (0.85, 0.8))
    verdict = of({"a": a, "b": b})
    assert "more seeds alone would not tell, because 50 test examples" in verdict.sentences[1]
    assert "Too few seeds" not in words(verdict)


def test_a_difference_of_zero_asks_for_no_seeds() -> None:
    same = np.tile((np.arange(100) < 90).astype(float), (3, 1))
    verdict = of({"a": same, "b": same.copy()})
    assert "no number of seeds is advised for a difference of zero" in verdict.sentences[1]
    assert "1,000 seeds" not in words(verdict)
    assert verdict.standing("a") == "tied"


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_what_is_detectable_is_found_four_times_in_five(seeds: int) -> None:
    """Normal means: 4,000 studies; a point and a half is how good a normal for the width is with three seeds."""
    rng = np.random.default_rng(seeds)
    df = 2.0 * (seeds - 1)
    size = detectable(Error(seed=math.sqrt(2.0 / seeds), df=df, floor=0.0, example=0.5), 0.05)
    a, b = rng.standard_normal((2, 4000, seeds))
    gap = size + a.mean(axis=1) - b.mean(axis=1) + 0.5 * rng.standard_normal(4000)
    spread = np.sqrt(a.var(axis=1, ddof=1) / seeds + b.var(axis=1, ddof=1) / seeds)
    total = np.hypot(spread, 0.5)
    found = abs(gap) > total * stats.t.isf(0.025, df * (total / spread) ** 2)
    assert np.mean(found) == pytest.approx(0.8, abs=0.015 + 3 * math.sqrt(0.16 / 4000))


def test_few_errors_are_worth_no_more_examples_than_there_are() -> None:
    """Three seeds that err on different examples are not 3 n examples: the interval is at least Wilson's of n."""
    table = np.ones((3, 360))
    table[range(3), range(3)] = 0.0
    low, high = mean_interval(table, 0.05, binary=True)
    wilson = stats.binomtest(1, 360).proportion_ci(method="wilson")
    assert 1.0 - low >= wilson.high - 1e-12
    assert high >= 1.0 - wilson.low - 1e-12


def test_luck_of_tuning_widens_a_rules_own_interval() -> None:
    rng = np.random.default_rng(2)
    trials, tests = study({"r": (0.8, 0.8, 0.8, 0.8)}, n=400, seed=5)
    tuned = judge(trials, tests, measure=ACCURACY).rules[0]
    alone = judge([t for t in trials if t.config == tuned.config], tests, measure=ACCURACY).rules[0]
    assert tuned.ci is not None and alone.ci is not None  # noqa: PT018
    assert tuned.test == alone.test
    assert tuned.ci[1] - tuned.ci[0] > alone.ci[1] - alone.ci[0]
    losses = -(rng.standard_normal((3, 50)) ** 2)
    narrow, wide = (mean_interval(losses, 0.05, binary=False, luck=luck) for luck in (0.0, 1.0))
    assert wide[0] < narrow[0]


def test_few_losses_widen_an_interval_as_a_t_does() -> None:
    """Seeds that agree: a t of n - 1 degrees of freedom over the examples and two more, one each way."""
    losses = -np.array([1.0, 2.0, 4.0, 3.0])
    low, high = mean_interval(np.tile(losses, (3, 1)), 0.05, binary=False)
    d = losses - losses.mean()
    scale = math.sqrt(stats.sem(losses) ** 2 + 2 * (d**4).sum() / (d**2).sum() / 4**2)
    exact = stats.t.interval(0.95, 3, loc=losses.mean(), scale=scale)
    assert (low, high) == pytest.approx((exact[0], min(exact[1], 0.0)), rel=1e-5)
    low, high = mean_interval(np.full((3, 1), -2.0), 0.05, binary=False)
    assert low < -5.0
    assert high == 0.0


def test_the_best_of_many_is_said_to_be_flattered() -> None:
    trials, tests = study({f"r{i}": (0.8,) for i in range(5)}, n=200)
    verdict = judge(trials, tests, measure=ACCURACY)
    assert any(w.startswith(f"{verdict.best} was picked as the best of 5 rules") for w in verdict.warnings)
    two = judge([t for t in trials if t.rule in ("r0", "r1")], tests, measure=ACCURACY)
    assert "was picked" not in words(two)


@pytest.mark.parametrize(("spread", "flattered"), [(0.05, True), (0.0, False)])
def test_the_best_of_many_configs_is_said_to_be_flattered_by_lucky_seeds_alone(
    spread: float, flattered: bool
) -> None:
    """Where configs differ by single validation examples, the choice says nothing about the test."""
    rng = np.random.default_rng(0)
    trials, scores = [], {}
    for config in range(30):
        for seed in range(3):
            level = 0.8 + spread * rng.standard_normal()
            trials.append(trial("r", f"c{config}", seed, bits(rng, level, 1000)))
            scores[trials[-1].run] = bits(rng, level, 1000)
    said = words(judge(trials, Reader(scores), measure=ACCURACY))
    expected = "of its configurations that validation cannot tell apart, so its own result is flattered"
    assert (expected in said) == flattered
    assert ("was picked" in said) == flattered


def test_seeds_without_a_failure_do_not_exclude_failures() -> None:
    """1 - 0.05^(1/3) = 63 %: a rule that fails so often passes three seeds in one study of twenty."""
    trials, tests = study({"a": (0.9, 0.8, 0.7)})
    lost = {t.run for t in trials if t.config == "c2" and t.seed == 1}
    trials = [replace(t, diverged=True, validation=None) if t.run in lost else t for t in trials]
    text = "a: 1 of 9 runs diverged, none of them with the chosen hypers; but 3 seeds without a failure cannot rule out"
    assert any(w.startswith(text) and "63 %" in w for w in judge(trials, tests, measure=ACCURACY).warnings)


def test_a_single_config_beside_a_search_is_what_the_verdict_is_about() -> None:
    trials, tests = study({"a": (0.9,), "b": (0.8, 0.85, 0.9)})
    assert any(
        w == "a: only one configuration was tried, so the verdict is about it, not about the rule."
        for w in judge(trials, tests, measure=ACCURACY).warnings
    )


def test_what_most_runs_lost_is_called_after_is_lr_only_where_there_is_one() -> None:
    ones = np.ones(200)
    trials: list[Trial] = []
    for rule, hypers in (("a", {"lr": 0.1}), ("b", {"damping": 1.0})):
        for config in range(2):
            for seed in range(2):
                made = trial(rule, f"c{config}", seed, None if config else ones)
                trials.append(replace(made, hypers=hypers))
    verdict = judge(trials, lambda run: ones, measure=ACCURACY)
    assert "a: 2 of 4 runs diverged; its learning rates go too high." in verdict.warnings
    assert "b: 2 of 4 runs diverged; most of its hypers do not work." in verdict.warnings


def test_one_t_for_seeds_and_examples_lies_between_the_sum_and_satterthwaite() -> None:
    for example in (0.3, 1.0, 3.0):
        error = Error(seed=1.0, df=4.0, floor=0.0, example=example)
        total = math.hypot(1.0, example)
        satterthwaite = total * stats.t.isf(0.025, 4.0 * total**4)
        ours = width(error, 0.05)
        assert ours == pytest.approx(total * stats.t.isf(0.025, 4.0 * total**2), rel=1e-6)
        assert satterthwaite < ours
        assert p_value(error, ours) == pytest.approx(0.05, rel=1e-6)
    assert pooled(Error(seed=1.0, df=2.0, floor=0.0, example=1.0)).df == 2.0  # two seeds: the sum is kept


@pytest.mark.parametrize(("first", "second"), [(1.0, 1.0), (1.0, 0.2)])
@pytest.mark.parametrize("example", [0.0, 0.5, 1.5])
def test_equal_means_of_three_seeds_are_told_apart_in_no_more_studies_than_by_welch(
    first: float, second: float, example: float
) -> None:
    """10,000 normal studies: at most 5 %, or what Welch's test of the seeds alone has, plus four standard errors."""
    rng = np.random.default_rng(int(10 * example))
    a, b = first * rng.standard_normal((10_000, 3)), second * rng.standard_normal((10_000, 3))
    va, vb = a.var(axis=1, ddof=1) / 3, b.var(axis=1, ddof=1) / 3
    df = 2.0 * (va + vb) ** 2 / (va**2 + vb**2)
    welch = 2 * stats.t.sf(abs(a.mean(axis=1) - b.mean(axis=1)) / np.sqrt(va + vb), df)
    sd = example * math.sqrt((first**2 + second**2) / 3)
    gap = abs(a.mean(axis=1) - b.mean(axis=1) + sd * rng.standard_normal(10_000))
    total = va + vb + sd**2
    ours = 2 * stats.t.sf(gap / np.sqrt(total), df * total / (va + vb))
    assert np.mean(ours <= 0.05) <= max(0.05, np.mean(welch <= 0.05)) + 4 * math.sqrt(0.05 * 0.95 / 10_000)
