"""`judge` from trials to sentences: outcomes, invariances, warnings, and nothing that is not a number."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from verdict_studies import Reader, bits, study, trial

from ravine.verdict import Trial, Verdict, judge
from ravine.verdict.measure import ACCURACY, SQUARED_ERROR, measure_of
from ravine.verdict.trials import gather
from ravine.verdict.tuning import luck_of, shortfall_error

Array = NDArray[np.float64]


def numbers(value: object) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from numbers(getattr(value, field.name))
    elif isinstance(value, dict):
        yield from numbers(tuple(value.values()))
    elif isinstance(value, tuple):
        for item in value:
            yield from numbers(item)


def has_text(verdict: Verdict, text: str) -> bool:
    return any(text in warning for warning in verdict.warnings)


def test_a_large_gap_is_found_and_a_copy_is_not() -> None:
    trials, tests = study({"good": (0.6, 0.95), "copy": (0.6, 0.95), "bad": (0.5, 0.7)}, n=1000, seeds=5)
    verdict = judge(trials, tests, measure=ACCURACY)
    assert {verdict.rules[0].rule, verdict.rules[1].rule} == {"good", "copy"}
    assert not verdict.separable
    for rule in ("good", "copy"):
        pair = verdict.pair(rule, "bad")
        assert pair is not None
        assert pair.separable
        assert pair.ci[0] > 0.0
    assert verdict.pair("good", "copy") == verdict.pair("copy", "good") == verdict.pairs[0]
    assert verdict.sentences[1].startswith("They are not separable with 5 seeds: the difference is ")
    assert verdict.sentences[1].endswith("is separable from bad.")


@pytest.mark.slow
def test_intervals_agree_with_what_is_said() -> None:
    for seed in range(20):
        levels = {f"r{i}": (0.7 + 0.02 * i, 0.5) for i in range(5)}
        trials, tests = study(levels, n=400, seeds=4, seed=seed)
        for pair in judge(trials, tests, measure=ACCURACY).pairs:
            assert pair.separable == (pair.ci[0] > 0.0 or pair.ci[1] < 0.0)
            assert pair.separable == (pair.p_corrected <= 0.05)
            assert pair.p <= pair.p_corrected


def test_order_of_trials_changes_nothing() -> None:
    trials, tests = study({"a": (0.6, 0.9), "b": (0.6, 0.89), "c": (0.3, 0.8)})
    shuffled = [trials[i] for i in np.random.default_rng(0).permutation(len(trials))]
    assert judge(shuffled, tests, measure=ACCURACY) == judge(trials, tests, measure=ACCURACY)


def test_relabelling_renames_and_nothing_else() -> None:
    trials, tests = study({"a": (0.6, 0.9), "b": (0.6, 0.8)})
    names = {"a": '<z & "q">', "b": "y"}
    renamed = [replace(t, rule=names[t.rule]) for t in trials]
    first, second = judge(trials, tests, measure=ACCURACY), judge(renamed, tests, measure=ACCURACY)
    assert [names[r.rule] for r in first.rules] == [r.rule for r in second.rules]
    assert list(numbers(first)) == list(numbers(second))
    assert names[first.rules[0].rule] in second.sentences[0]


def test_sentences_of_a_classification() -> None:
    n = 1000
    right = {"adam": 972, "momentum": 969}
    trials = [
        trial(rule, rule, seed, (np.arange(n) < count).astype(float), lr=lr)
        for (rule, count), lr in zip(right.items(), (0.001, 0.1), strict=True)
        for seed in range(3)
    ]
    tests = {t.run: t.validation for t in trials}
    verdict = judge(trials, lambda run: tests[run], measure=ACCURACY)
    assert verdict.sentences == (
        "adam (lr 0.001) reaches 97.2 % test accuracy (95 % interval 96.0 to 98.1); momentum (lr 0.1) reaches"
        " 96.9 %.",
        "They are not separable with 3 seeds: the difference is 0.3 points (interval \N{MINUS SIGN}0.1 to 0.7);"
        " more seeds alone would not tell, because 1,000 test examples and 1,000 validation examples are too few"
        " for a difference this small.",
    )


def test_sentences_of_a_regression() -> None:
    rng = np.random.default_rng(0)

    def squares(sd: float) -> Array:
        return np.asarray(-((sd * rng.standard_normal(400)) ** 2))

    trials = [trial(rule, rule, s, squares(sd)) for rule, sd in (("a", 0.5), ("b", 1.0)) for s in range(5)]
    tests = {t.run: squares(0.5 if t.rule == "a" else 1.0) for t in trials}
    verdict = judge(trials, lambda run: tests[run], measure=SQUARED_ERROR)
    assert verdict.best == "a"
    assert verdict.separable
    first, second = verdict.sentences
    assert first.startswith("a (lr 0.1) reaches a test mean squared error of 0.2")
    mse, rmse = (float(first.split(word)[1].split()[0].strip(",;.")) for word in ("error of ", "RMSE of "))
    assert rmse == pytest.approx(math.sqrt(mse), rel=0.01)
    assert "%" not in first.replace("95 % interval", "")
    assert second.startswith("They are separable with 5 seeds: a is better by 0.")
    low, high = (float(x) for x in first.split("interval ")[1].split(")")[0].split(" to "))
    assert 0.0 < low < high


def test_single_seed_says_so() -> None:
    trials, tests = study({"a": (0.95,), "b": (0.4,)}, seeds=1)
    verdict = judge(trials, tests, measure=ACCURACY)
    assert not verdict.separable
    assert "single seed" in verdict.sentences[1]
    assert has_text(verdict, "A single seed")


def test_single_rule_has_a_result_and_no_comparison() -> None:
    trials, tests = study({"a": (0.7, 0.9)})
    verdict = judge(trials, tests, measure=ACCURACY)
    assert (verdict.best, verdict.separable, verdict.pairs) == ("a", False, ())
    assert verdict.sentences[1] == "Nothing is compared: there is only one rule."


def test_every_run_of_a_rule_diverged() -> None:
    trials, tests = study({"a": (0.7, 0.9)})
    trials += [trial("b", f"c{i}", s, None) for i in range(2) for s in range(3)]
    verdict = judge(trials, tests, measure=ACCURACY)
    assert [r.rule for r in verdict.rules] == ["a", "b"]
    lost = verdict.rules[1]
    assert (lost.config, lost.test, lost.ci, lost.num_diverged) == (None, None, None, 6)
    assert "smaller lr" in lost.outcome
    assert has_text(verdict, "b: every run diverged (6 runs); try a smaller lr.")
    assert verdict.sentences[1] == "Nothing is compared: no other rule has a result."


def test_every_run_of_every_rule_diverged() -> None:
    trials = [trial(rule, "c", s, None) for rule in "ab" for s in range(3)]
    verdict = judge(trials, Reader({}), measure=ACCURACY)
    assert (verdict.best, verdict.separable, verdict.pairs, verdict.budget) == (None, False, (), ())
    assert verdict.sentences == (
        "Every run diverged (6 runs), so there is nothing to compare.",
        "Try smaller learning rates.",
    )


def test_a_loss_that_is_not_finite_before_the_first_step_is_not_blamed_on_lr() -> None:
    broken = [replace(trial("b", "c", s, None), broken_at_start=True) for s in range(3)]
    trials, tests = study({"a": (0.7,)})
    verdict = judge(trials + broken, tests, measure=ACCURACY)
    words = "the loss is not finite before the first step: check the model and the data"
    assert has_text(verdict, f"b: every run diverged (3 runs); {words}.")
    assert not has_text(verdict, "smaller lr")
    verdict = judge(broken, Reader({}), measure=ACCURACY)
    assert verdict.sentences[1] == f"No lr can help: {words}."
    later = [*broken[:2], trial("b", "c", 2, None)]  # one that had a first step: its lr may be too large
    assert judge(later, Reader({}), measure=ACCURACY).sentences[1] == "Try smaller learning rates."


def test_no_interval_of_accuracies_goes_beyond_100_points() -> None:
    tests = Reader(
        {f"{rule}/c/{s}": np.full(4, (rule == "a") ^ (s == 0), float) for rule in "ab" for s in (0, 1)}
    )
    trials = [trial(rule, "c", s, tests.scores[f"{rule}/c/{s}"]) for rule in "ab" for s in (0, 1)]
    verdict = judge(trials, tests, measure=ACCURACY)
    assert verdict.pairs[0].ci == (-1.0, 1.0)  # seeds that contradict each other: nothing is known
    assert not has_text(verdict, "Too few seeds")  # no number of seeds is advised for a difference of zero
    assert "-100.0 to 100.0".replace("-", "−") in verdict.sentences[1]
    assert all(0.0 <= end <= 1.0 for rule in verdict.rules for end in rule.ci or ())


def test_a_loss_of_zero_has_no_sign() -> None:
    zeros = [trial(rule, "c", s, np.zeros(50) * -1.0) for rule in "ab" for s in range(3)]
    verdict = judge(zeros, lambda run: np.zeros(50) * -1.0, measure=SQUARED_ERROR)
    assert "of 0 (95 % interval 0 to 0), an RMSE of 0;" in verdict.sentences[0]
    assert "-0" not in " ".join(verdict.sentences + verdict.warnings)


def test_a_rule_that_lost_a_run_does_not_win_by_its_survivors() -> None:
    trials, tests = study({"frail": (0.99,), "sound": (0.8,)}, seeds=4, n=2000)
    trials = [replace(t, diverged=True, validation=None) if t.run == "frail/c0/0" else t for t in trials]
    verdict = judge(trials, tests, measure=ACCURACY)
    assert [r.rule for r in verdict.rules] == ["sound", "frail"]
    assert not verdict.separable
    assert "surviving runs" in verdict.pairs[0].outcome
    assert has_text(verdict, "1 of 4 seeds diverged with the chosen hypers")


def test_test_scores_that_are_not_finite_drop_the_seed() -> None:
    trials, tests = study({"a": (0.9,), "b": (0.8,)})
    tests.scores["a/c0/1"] = np.full(300, np.nan)
    verdict = judge(trials, tests, measure=ACCURACY)
    a = next(r for r in verdict.rules if r.rule == "a")
    assert a.seeds == (0, 2)
    assert not any(math.isnan(x) for x in numbers(verdict))


def test_rules_with_other_seeds_are_compared_unpaired() -> None:
    first, tests = study({"a": (0.95,)}, seeds=3, n=1000)
    second, more = study({"b": (0.6,)}, seeds=3, n=1000, seed=1)
    second = [replace(t, seed=t.seed + 100) for t in second]
    verdict = judge(first + second, Reader(tests.scores | more.scores), measure=ACCURACY)
    assert verdict.separable
    assert has_text(verdict, "did not finish the same seeds")


@pytest.mark.parametrize(("best", "side", "way"), [(0, "lower", "smaller"), (2, "upper", "larger")])
def test_best_lr_on_the_edge_is_warned_of(best: int, side: str, way: str) -> None:
    levels = [0.5, 0.5, 0.5]
    levels[best] = 0.9
    trials, tests = study({"a": levels, "b": (0.5, 0.9, 0.5)})
    verdict = judge(trials, tests, measure=ACCURACY)
    edges = [w for w in verdict.warnings if "edge" in w]
    assert len(edges) == 1
    assert edges[0].startswith("a: the best lr (")
    assert f"the {side} edge" in edges[0]
    assert f"try {way} values" in edges[0]


def test_single_lr_has_no_edge_but_another_log_scaled_hyper_has() -> None:
    ones, zeros = np.ones(200), np.zeros(200)
    trials = [
        trial("a", f"c{i}", s, ones if i == 2 else zeros, weight_decay=10.0 ** (i - 5), rho=0.1 * i)
        for i in range(3)
        for s in range(2)
    ]
    verdict = judge(trials, lambda run: ones, measure=ACCURACY)
    assert [w for w in verdict.warnings if "edge" in w] == [
        "a: the best weight_decay (0.001) lies on the upper edge of those tried (1e-05 to 0.001);"
        " try larger values."
    ]


def test_too_few_seeds_says_what_could_be_told_and_how_many_would() -> None:
    rng = np.random.default_rng(0)
    trials: list[Trial] = []
    scores: dict[str, Array] = {}
    for rule, level in (("a", 0.85), ("b", 0.80)):
        for seed in range(3):
            accuracy = level + 0.03 * rng.standard_normal()
            trials.append(trial(rule, "c", seed, bits(rng, accuracy, 3000)))
            scores[trials[-1].run] = bits(rng, accuracy, 3000)
    verdict = judge(trials, Reader(scores), measure=ACCURACY)
    pair = verdict.pairs[0]
    assert not pair.separable
    assert pair.seeds_needed is not None
    assert 3 < pair.seeds_needed < 100
    assert f"about {pair.seeds_needed} seeds would tell" in verdict.sentences[1]
    assert has_text(verdict, "Too few seeds: with 3 seeds, 2 rules and this spread")


def test_ties_small_validation_and_mass_divergence_are_warned_of() -> None:
    ones = np.ones(20)
    trials = [trial("a", f"c{i}", s, ones, lr=10.0**-i) for i in range(2) for s in range(2)]
    trials += [trial("b", f"c{i}", s, None if i else ones) for i in range(2) for s in range(2)]
    verdict = judge(trials, lambda run: ones, measure=ACCURACY)
    assert has_text(verdict, "a: 2 configurations tie on validation")
    assert has_text(verdict, "a and b tie on the test set")
    assert has_text(verdict, "Only 20 validation examples")
    assert has_text(verdict, "b: 2 of 4 runs diverged")
    assert not verdict.separable


@pytest.mark.parametrize(
    ("lrs", "told"),
    [
        ((0.1, 0.01, 1.0), "3 configurations tie on validation; the smallest lr was taken."),
        ((0.1, 0.1, 1.0), "tie on validation; the smallest lr was taken, and of its 2 the first by id"),
        ((0.1, 0.1, 0.1), "tie on validation; no lr tells them apart, so the first by id was taken"),
    ],
)
def test_a_tie_names_what_decided_it(lrs: tuple[float, ...], told: str) -> None:
    ones = np.ones(200)
    trials = [trial("a", f"c{i}", s, ones, lr=lr) for i, lr in enumerate(lrs) for s in range(2)]
    verdict = judge(trials, lambda run: ones, measure=ACCURACY)
    assert has_text(verdict, told)


@pytest.mark.parametrize(
    ("tied", "told"),
    [
        (((0.1, 0.2), (1.0, 0.0)), "tie on validation; the smallest rate or strength was taken."),
        (
            ((0.1, 0.2), (0.1, 0.0), (0.01, 0.0)),
            "tie on validation; the smallest rate or strength was taken, and of those the smallest lr.",
        ),
        (
            ((0.1, 0.2), (0.1, 0.0), (0.1, 0.0)),
            "tie on validation; the smallest rate or strength was taken, and of its 2 the first by id",
        ),
    ],
)
def test_a_tie_goes_to_what_adds_less(tied: tuple[tuple[float, float], ...], told: str) -> None:
    ones = np.ones(200)
    trials = [
        trial("a", f"c{i}", s, ones, lr=lr, **{"model.dropout": rate})
        for i, (lr, rate) in enumerate(tied)
        for s in range(2)
    ]
    verdict = judge(trials, lambda run: ones, measure=ACCURACY)
    assert has_text(verdict, told)
    assert verdict.rules[0].hypers["model.dropout"] == 0.0


def test_identical_predictions_still_have_an_interval() -> None:
    scores = (np.arange(100) < 90).astype(float)
    trials = [trial(rule, "c", s, scores) for rule in "ab" for s in range(3)]
    pair = judge(trials, lambda run: scores, measure=ACCURACY).pairs[0]
    assert pair.difference == 0.0
    assert pair.ci[0] < 0.0 < pair.ci[1]


def test_luck_of_tuning_counts_near_ties_only() -> None:
    rng = np.random.default_rng(0)

    def luck(rival: float) -> float:
        trials = [
            trial("r", str(i), s, bits(rng, level, 400))
            for i, level in enumerate((0.9, rival))
            for s in range(4)
        ]
        group = gather(trials)["r"]
        return luck_of(group, max(group, key=lambda c: c.mean), ACCURACY).error()

    assert luck(0.3) < 1e-4
    assert 0.0 <= luck(0.89) < 0.02
    trials = [trial("r", "only", s, bits(rng, 0.9, 400)) for s in range(4)]
    assert luck_of(gather(trials)["r"], gather(trials)["r"][0], ACCURACY).error() == 0.0


def test_variance_of_a_shortfall_equals_a_simulation() -> None:
    x = np.random.default_rng(0).standard_normal(1_000_000)
    for lead in (0.0, 0.5, 2.0):
        short = np.maximum(0.3 * x - 0.3 * lead, 0.0)
        # 3 %: three standard errors of the variance where one draw in fifty falls short
        assert shortfall_error(0.3 * lead, 0.3) ** 2 == pytest.approx(short.var(), rel=0.03)


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_ever_nan(seed: int) -> None:
    """Odd studies: few examples, constant scores, lost runs, unequal grids, huge errors."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 6))
    trials, scores = [], {}
    for rule in range(int(rng.integers(1, 5))):
        for config in range(int(rng.integers(1, 4))):
            for s in range(int(rng.integers(1, 4))):
                lost = rng.random() < 0.3
                values = -(10.0 ** rng.uniform(-8, 8)) * np.round(rng.random(n))
                made = trial(f"r{rule}", f"c{config}", s, None if lost else values)
                trials.append(made)
                scores[made.run] = values[::-1]
    for task in ("regression", "classification"):
        if task == "classification":
            trials = [replace(t, validation=None if t.diverged else np.ones(n)) for t in trials]
            scores = {run: (s != 0.0).astype(float) for run, s in scores.items()}
        verdict = judge(trials, Reader(scores), measure=measure_of(task))
        assert all(math.isfinite(x) for x in numbers(verdict))
        assert "nan" not in " ".join(verdict.sentences + verdict.warnings)
        assert len(verdict.sentences) == 2


@pytest.mark.slow
def test_two_copies_of_one_rule_are_not_separable() -> None:
    """A/A, small: 200 studies of two copies, five lrs, five seeds; benchmarks/calibration.py has the rest."""
    wrong = 0
    for seed in range(200):
        rng = np.random.default_rng([1, seed])
        hard = 2.0 * rng.standard_normal((2, 300))
        trials, scores = [], {}
        for copy in "ab":
            for config, skill in enumerate((1.0, 3.0, 3.5, 3.4, 2.0)):
                for s in range(5):
                    luck = skill + 0.15 * rng.standard_normal()
                    validation, test = ((luck + hard + rng.standard_normal((2, 300))) > 0).astype(float)
                    made = trial(copy, str(config), s, validation, lr=10.0 ** (config - 4))
                    trials.append(made)
                    scores[made.run] = test
        wrong += judge(trials, Reader(scores), measure=ACCURACY).separable
    assert wrong <= 10
