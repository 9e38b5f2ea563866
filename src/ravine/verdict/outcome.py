"""What a verdict says: plain frozen data, free of NaN, for the report, the table and `--json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ravine.verdict.budget import BudgetCurve, Leader


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """One rule, represented by the configuration that validation chose for it.

    `config`, `hypers`, `lr`, `validation`, `test` and `ci` are of that configuration, chosen at the common
    tuning budget; `best_config` and `best_validation` are of the best one of all it has, the same unless
    the budgets differ (then `rank` says where the chosen one stands among them, 1 is best). All are None
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

    `difference` is first minus second over the seeds they share (`num_seeds`), `ci` its interval corrected
    for all pairs: it excludes zero if and only if `separable`. `p` is the p-value of this pair by itself,
    `p_corrected` that for all pairs. `seed_error` and `example_error` are the two parts of the standard
    error, the second with the luck of tuning. `seeds_needed`: seeds at which a true difference this large
    would be found four times in five; None if more than 1000 or no number.
    """

    first: str
    second: str
    difference: float
    ci: tuple[float, float]
    p: float
    p_corrected: float
    separable: bool
    num_seeds: int
    seed_error: float
    example_error: float
    seeds_needed: int | None
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome of a study.

    `rules` best first by mean test score; rules whose chosen configuration lost a run come after those
    whose did not, rules that only diverged last. `best` is the first of them, None if nothing finished.
    `separable`: the best is separable from the second. `num_configs` is the common tuning budget. Scores
    are accuracies in [0, 1], or minus mean squared errors.
    """

    task: str
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

    def pair(self, first: str, second: str) -> Pair | None:
        """The pair of these two rules, in either order."""
        return next((p for p in self.pairs if {p.first, p.second} == {first, second}), None)
