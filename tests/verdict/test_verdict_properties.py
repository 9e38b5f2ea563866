"""Many odd studies, and what must be true of every verdict: numbers in range, and sentences that agree."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from verdict_studies import Reader, trial

from ravine.verdict import Pair, Trial, Verdict, judge
from ravine.verdict.measure import SQUARED_ERROR, measure_of

Array = NDArray[np.float64]
Made = tuple[list[Trial], Reader]

NUM_STUDIES = 4  # of each kind; a hundred passed when this was written


def numbers(value: object) -> Iterator[float]:
    """All floats in a tree of dataclasses, tuples and mappings."""
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


def study(
    rng: np.random.Generator,
    draw: Callable[[float], Array],
    *,
    rules: int | None = None,
    configs: int | None = None,
    seeds: int | None = None,
    lost: float = 0.0,
    copies: bool = False,
    broken: float = 0.0,
) -> Made:
    """A study of scores that `draw` makes of a level in [0, 1]; some runs are lost, some broken."""
    trials: list[Trial] = []
    scores: dict[str, Array] = {}
    rules = int(rng.integers(1, 5)) if rules is None else rules
    seeds = int(rng.integers(1, 6)) if seeds is None else seeds
    same = [(draw(0.8), draw(0.8)) for _ in range(seeds)]
    for rule in range(rules):
        for config in range(int(rng.integers(1, 5)) if configs is None else configs):
            level = rng.uniform(0.5, 1.0)
            for seed in range(seeds):
                validation, test = same[seed] if copies else (draw(level), draw(level))
                if rng.random() < broken:
                    validation = np.where(rng.random(len(validation)) < 0.5, np.nan, -np.inf)
                if rng.random() < broken:
                    test = np.full(len(test), rng.choice([np.nan, np.inf, -np.inf]))
                gone = rng.random() < lost
                made = trial(
                    f"r{rule}", f"c{config}", seed, None if gone else validation, lr=10.0 ** -(1 + config)
                )
                trials.append(made)
                scores[made.run] = test
    return trials, Reader(scores)


def right(rng: np.random.Generator, n: int) -> Callable[[float], Array]:
    return lambda level: (rng.random(n) < level).astype(np.float64)


def squares(rng: np.random.Generator, n: int, unit: float) -> Callable[[float], Array]:
    return lambda level: -((unit * (1.0 - level) * rng.standard_normal(n)) ** 2)


Kind = Callable[[np.random.Generator], Made]
CLASSES: dict[str, Kind] = {
    "ordinary": lambda g: study(g, right(g, 200)),
    "one example": lambda g: study(g, right(g, 1)),
    "two to five examples": lambda g: study(g, right(g, int(g.integers(2, 6)))),
    "many examples": lambda g: study(g, right(g, 20_000), rules=3, configs=1),
    "one seed": lambda g: study(g, right(g, 50), seeds=1),
    "two seeds": lambda g: study(g, right(g, 50), seeds=2),
    "many rules": lambda g: study(g, right(g, 100), rules=8, configs=1),
    "two rules": lambda g: study(g, right(g, 400), rules=2, seeds=4),
    "one rule": lambda g: study(g, right(g, 50), rules=1),
    "all equal": lambda g: study(g, right(g, 50), copies=True),
    "all right": lambda g: study(g, lambda level: np.ones(30)),
    "all wrong": lambda g: study(g, lambda level: np.zeros(30)),
    "some lost": lambda g: study(g, right(g, 50), lost=0.3),
    "most lost": lambda g: study(g, right(g, 50), lost=0.9),
    "all lost": lambda g: study(g, right(g, 50), lost=1.0),
    "one survivor": lambda g: study(g, right(g, 50), rules=3, configs=1, seeds=2, lost=0.75),
    "not numbers": lambda g: study(g, right(g, 50), broken=0.3),
}
LOSSES: dict[str, Kind] = {
    "ordinary": lambda g: study(g, squares(g, 200, 1.0)),
    "one example": lambda g: study(g, squares(g, 1, 1.0)),
    "two to five examples": lambda g: study(g, squares(g, int(g.integers(2, 6)), 1.0)),
    "one seed": lambda g: study(g, squares(g, 50, 1.0), seeds=1),
    "unit 1e9": lambda g: study(g, squares(g, 50, 1e9)),
    "unit 1e-9": lambda g: study(g, squares(g, 50, 1e-9)),
    "unit 1e50": lambda g: study(g, squares(g, 50, 1e50)),
    "unit 1e-50": lambda g: study(g, squares(g, 50, 1e-50)),
    "all equal": lambda g: study(g, squares(g, 50, 1.0), copies=True),
    "no loss at all": lambda g: study(g, lambda level: np.zeros(30) * -1.0),
    "the same loss everywhere": lambda g: study(g, lambda level: np.full(30, -level)),
    "some lost": lambda g: study(g, squares(g, 50, 1.0), lost=0.3),
    "outliers": lambda g: study(g, lambda level: -(g.standard_t(1, 100) ** 2)),
    "not numbers": lambda g: study(g, squares(g, 50, 1.0), broken=0.3),
}
STUDIES = [("classification", kind) for kind in CLASSES] + [("regression", kind) for kind in LOSSES]


def made(task: str, kind: str, number: int) -> Made:
    rng = np.random.default_rng([number, len(kind), len(task)])
    return (CLASSES if task == "classification" else LOSSES)[kind](rng)


@cache
def judged(task: str, kind: str, number: int) -> Verdict:
    return judge(*made(task, kind, number), measure=measure_of(task))


@pytest.mark.parametrize(("task", "kind"), STUDIES)
def test_every_number_is_possible(task: str, kind: str) -> None:
    for number in range(NUM_STUDIES):
        verdict = judged(task, kind, number)
        assert all(math.isfinite(x) for x in numbers(verdict))
        top = 1.0 if task == "classification" else 0.0
        for rule in verdict.rules:
            if rule.ci is not None and rule.test is not None:
                assert rule.ci[0] <= rule.test <= rule.ci[1] <= top
                assert task == "regression" or rule.ci[0] >= 0.0
        for pair in verdict.pairs:
            low, high = pair.ci
            assert low <= pair.difference <= high
            assert task == "regression" or -1.0 <= low <= high <= 1.0
            assert 0.0 <= pair.p <= pair.p_corrected <= 1.0
            assert pair.separable == (low > 0.0 or high < 0.0) == (pair.p_corrected <= 0.05)
            assert pair.seeds_needed is None or pair.seeds_needed > pair.num_seeds > 1


@pytest.mark.parametrize(("task", "kind"), STUDIES)
def test_no_two_sentences_contradict_each_other(task: str, kind: str) -> None:
    for number in range(NUM_STUDIES):
        check_words(judged(task, kind, number))


def check_words(verdict: Verdict) -> None:
    """All that is said against the numbers and against the rest of what is said."""
    words = " ".join(verdict.sentences + verdict.warnings)
    assert not re.search(r"\bnan\b|\binf\b|None|  |\.\.|-0\b|[−-]0\.?0* (to|points)", words), words
    assert not re.search(r"\b1 [a-z ]*(seeds|runs|rules|examples|configurations)\b", words), words
    assert len(verdict.sentences) == 2
    assert all(text.endswith(".") for text in verdict.sentences + verdict.warnings)
    assert len(set(verdict.warnings)) == len(verdict.warnings)
    few = "Too few seeds" in words
    assert few + ("more seeds alone would not tell" in words) + ("more than 1,000 seeds" in words) <= 1, words
    assert not (
        "single seed: luck" in words and re.search(r"seeds would|with \d seeds", verdict.sentences[1])
    )
    if not verdict.pairs:
        assert "separable" not in words
        assert {verdict.standing(r.rule) for r in verdict.rules} <= {"", "only rule", "only result"}
        assert "Nothing is compared" in words or "nothing to compare" in words
        return
    top = verdict.pairs[0]
    told = verdict.sentences[1]
    assert told.startswith("They are separable" if top.separable else "They are not separable"), told
    if few:
        assert not any(p.separable for p in verdict.pairs)
        assert f"about {top.seeds_needed} seeds would tell" in told
        assert top.detectable is not None
        assert abs(top.difference) < top.reach < top.detectable
    if "leads only by its surviving runs" in told or "single seed" in told:
        assert "would" not in told
        assert not few
    if top.difference == 0.0:
        assert not re.search(r"\d seeds would", told)
    leading = [p for p in verdict.pairs if p.first == top.first]
    assert (verdict.standing(top.first) == "best") == all(p.separable and p.difference > 0.0 for p in leading)
    check_others(verdict, told)


def check_others(verdict: Verdict, told: str) -> None:
    """Which others the best is said to be separable from, or not."""
    best = verdict.pairs[0].first
    others = {
        (p.second if p.first == best else p.first): p
        for p in verdict.pairs[1:]
        if best in (p.first, p.second)
    }
    for text, separable in (("is separable from ", True), ("is not separable from ", False)):
        if text in told:
            names = re.findall(r"r\d+", told.split(text)[1])
            assert names == [rule for rule, p in others.items() if p.separable == separable]
            assert verdict.pairs[0].separable != separable


def flipped(pair: Pair) -> tuple[object, ...]:
    low, high = pair.ci
    return -pair.difference, (-high, -low), pair.p, pair.p_corrected, pair.separable, pair.seeds_needed


def plain(pair: Pair) -> tuple[object, ...]:
    return pair.difference, pair.ci, pair.p, pair.p_corrected, pair.separable, pair.seeds_needed


@pytest.mark.parametrize(("task", "kind"), STUDIES)
def test_names_play_no_part(task: str, kind: str) -> None:
    """The same studies with the labels reversed: the same numbers, ties alone in another order."""
    for number in range(0, NUM_STUDIES, 2):
        trials, tests = made(task, kind, number)
        names = {f"r{k}": f"r{9 - k}" for k in range(9)}
        renamed = [replace(t, rule=names[t.rule]) for t in trials]
        first, second = judged(task, kind, number), judge(renamed, tests, measure=measure_of(task))
        for pair in first.pairs:
            other = second.pair(names[pair.first], names[pair.second])
            assert other is not None
            same = other.first == names[pair.first]
            # rules that tie may be taken in another order by a correction, so only the others are compared
            if len({r.test for r in first.rules}) == len(first.rules):
                assert same
                assert plain(other) == plain(pair)
            elif len(first.rules) == 2:
                assert (plain if same else flipped)(other) == plain(pair)


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_a_change_of_unit_changes_no_decision(unit: float) -> None:
    """Powers of two that are near these units: an exact change, so that every bit is the same."""
    scale = 2.0 ** round(math.log2(unit))
    for number in range(4):
        rng = np.random.default_rng(number)
        trials, tests = study(rng, squares(rng, 60, 1.0), rules=3, seeds=4)
        scaled = [
            replace(t, validation=None if t.validation is None else scale * np.asarray(t.validation))
            for t in trials
        ]
        other = Reader({run: scale * s for run, s in tests.scores.items()})
        first, second = (
            judge(trials, tests, measure=SQUARED_ERROR),
            judge(scaled, other, measure=SQUARED_ERROR),
        )
        for a, b in zip(first.pairs, second.pairs, strict=True):
            assert (a.p, a.p_corrected, a.separable, a.seeds_needed) == (
                b.p, b.p_corrected, b.separable, b.seeds_needed,
            )  # fmt: skip
            assert b.difference == scale * a.difference
