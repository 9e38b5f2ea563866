"""What a verdict says: plain frozen data, free of NaN, for the report, the table and `--json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ravine.verdict.budget import BudgetCurve, Leader
from ravine.verdict.measure import Measure


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """One rule, represented by the configuration that validation chose for it.

    `config`, `hypers`, `lr`, `validation`, `test` and `ci` are of that configuration, chosen at the common
    tuning budget; `best_config` and `best_validation` are of the best one of all it has, the same unless
    the budgets differ (then `rank` is the place of the chosen one among them, 1 is best). All are None
    (`hypers` empty, `rank` 0) where every run diverged. `seeds` are those whose runs finished, `runs` their
    ids in the same order.
    """

    rule: str
    config: str | None
    hypers: Mapping[str, float | str]
    lr: float | None
    validation: float | None
    test: float | None
    ci: tuple[float, float] | None
    num_configs: int
    num_runs: int
    num_diverged: int
    seeds: tuple[int, ...]
    runs: tuple[str, ...]
    rank: int
    best_config: str | None
    best_validation: float | None
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two rules compared on the test set, `first` the one ranked higher.

    Args:
        difference: first minus second, over the seeds that they share (`num_seeds`).
        ci: its interval, corrected for all pairs: it excludes zero if and only if `separable`. With a single seed it
            is of the test examples only; there, where a rule leads only by its surviving runs, and where both chose the
            same runs, it is extended to zero. None where nothing is known of the error: of a pair of two single scores
            that are no means over test examples, or of fewer than two folds.
        p: the p-value of this pair by itself; 1 where the interval is extended to zero.
        p_corrected: that for all pairs.
        seed_error: the part of the standard error from the choice of seeds.
        example_error: the part from the choice of test examples, with the luck of tuning.
        reach: half the width of the interval: only observed differences above it count as separable.
        detectable: the true difference that such a study would find four times in five; None with a single seed.
        seeds_needed: seeds at which a true difference as large as the observed one would be found four times in
            five; None if there is no such number up to 1000, or nothing that more seeds could settle.
        examples_suffice: a number of seeds exists, however large; else the test or validation set is too small.
        outcome: all of it in a few words.
    """

    first: str
    second: str
    difference: float
    ci: tuple[float, float] | None
    p: float
    p_corrected: float
    separable: bool
    num_seeds: int
    seed_error: float
    example_error: float
    reach: float
    detectable: float | None
    seeds_needed: int | None
    examples_suffice: bool
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What a level gained on the test set over the first level of its study.

    Args:
        level: its label.
        baseline: that of the first one.
        difference: over the seeds that they share.
        low, high: its interval, corrected for the number of levels that are compared with the first; None: not known.
        seeds: each shared seed's own difference; of a study with folds none.
        folds: of a study with folds each fold's own difference, by (repeat, fold).
    """

    level: str
    baseline: str
    difference: float
    low: float | None
    high: float | None
    seeds: Mapping[int, float]
    folds: Mapping[tuple[int, int], float] = field(default_factory=dict)

    @property
    def sign(self) -> int:
        """1 or -1 where it gains or loses for sure, else 0."""
        if self.low is None or self.high is None:
            return 0
        return (self.low > 0.0) - (self.high < 0.0)

    def json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "level": self.level,
            "baseline": self.baseline,
            "difference": self.difference,
            "low": self.low,
            "high": self.high,
            "seeds": dict(self.seeds),
            **(
                {
                    "folds": [
                        {"repeat": repeat, "fold": fold, "difference": value}
                        for (repeat, fold), value in self.folds.items()
                    ]
                }
                if self.folds
                else {}
            ),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome of a study.

    `rules` best first by mean test score; rules whose chosen configuration lost a run come after those
    whose did not, rules that only diverged last. `best` is the first of them, None if nothing finished.
    `separable`: the best is separable from the second. `num_configs` is the common tuning budget.
    `num_validation` and `num_test` are 0 where there is no score per example. Scores are what `measure` says:
    accuracies in [0, 1], or minus mean squared errors. `noun` is what a rule is called in words: "rule", or where
    a study compares something else "model" or "level"; `gains` are then those over the first of them, the best first.
    """

    measure: Measure
    alpha: float
    rules: tuple[RuleResult, ...]
    pairs: tuple[Pair, ...]
    best: str | None
    separable: bool
    num_configs: int
    num_validation: int
    num_test: int
    sentences: tuple[str, ...]
    warnings: tuple[str, ...]
    budget: tuple[BudgetCurve, ...]
    leaders: tuple[Leader, ...]
    noun: str = "rule"
    gains: tuple[Gain, ...] = ()

    def __repr__(self) -> str:
        if not self.rules:
            words = " ".join(self.sentences)
            return f"Verdict({words!r}, of a ladder: its numbers are in results.ladder)"
        return f"Verdict({', '.join(f'{each.name}={getattr(self, each.name)!r}' for each in fields(self))})"

    def pair(self, first: str, second: str) -> Pair | None:
        """The pair of these two rules, in either order."""
        return next((p for p in self.pairs if {p.first, p.second} == {first, second}), None)

    def standing(self, rule: str) -> str:
        """A rule's place in a word or two; empty for one that is separable from the best or has no result."""
        if rule != self.best:
            pair = self.pair(self.best, rule) if self.best is not None else None
            return "not separable" if pair is not None and not pair.separable else ""
        if not self.pairs:
            return f"only {self.noun}" if len(self.rules) == 1 else "only result"
        if all(p.separable and p.difference > 0.0 for p in self.pairs if p.first == rule):
            return "best"
        return "ahead" if self.pairs[0].difference != 0.0 else "tied"
