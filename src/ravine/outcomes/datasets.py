"""A verdict on results from several data sets: one on each, and one over all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ravine.errors import InputError
from ravine.grid import Grid
from ravine.messages import count
from ravine.outcomes import words
from ravine.outcomes.elsewhere import NOUN, UNTUNED, Judgement, Run, Scored, judged
from ravine.outcomes.presented import Presented, interval_json, pair_json, score_json
from ravine.outcomes.runs import Cell, plain
from ravine.verdict import Across, Measure, Verdict, judge_across

DATASET = "dataset"
_WHERE = " A page has them: --out, or report() in Python."


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Judgements(Presented):
    """A verdict on each of several data sets, and one over all of them.

    Attributes:
        name: of the results, such as the file's.
        datasets: the verdict on each data set, by its name.
        across: what they say together, with the data sets as the population.
        warnings: what a reader must know before believing it.
        page: writes its page to a file; handed in, because pages lie above this room.
    """

    name: str
    datasets: Mapping[str, Judgement]
    across: Across
    warnings: tuple[str, ...]
    page: Callable[[Judgements, str | Path], Path]

    @property
    def verdict(self) -> Verdict:
        """The one over all data sets."""
        return self.across.verdict

    @property
    def methods(self) -> tuple[str, ...]:
        """The names of all methods, sorted."""
        return tuple(sorted({method for each in self.datasets.values() for method in each.methods}))

    @property
    def _num_cautions(self) -> int:
        return sum(text != UNTUNED for each in self.datasets.values() for text in each.warnings)

    @property
    def of_each(self) -> str:
        """How far the verdicts on single data sets can be trusted together."""
        num = len(self.datasets)
        cautions = self._num_cautions
        more = (
            f" There are {count(cautions, 'caution')} on single data sets: see their own verdicts."
            if cautions
            else ""
        )
        return (
            f"Each of these {num} verdicts is corrected for its own comparisons alone: about"
            f" {self.verdict.alpha * num:.2g} may be wrong where all methods are equal.{more}"
        )

    def table(self) -> list[dict[str, Cell]]:
        """A row per run, for a data frame or a CSV file; a number that is not known is None."""
        return [{DATASET: name, **row} for name, each in self.datasets.items() for row in each.table()]

    def json(self) -> dict[str, Any]:
        """All of it as one object of plain, finite numbers: what ``ravine judge --json`` prints."""
        across, verdict = self.across, self.verdict
        measure = verdict.measure
        ranks, profile = across.ranks, across.profile
        mean_ranks = [None] * len(verdict.rules) if ranks is None else [plain(rank) for rank in ranks.mean]
        return {
            "metric": measure.name,
            "datasets": list(across.datasets),
            "left_out": {name: list(lacking) for name, lacking in across.left_out.items()},
            "methods": [
                {
                    NOUN: rule.rule,
                    "test": score_json(measure, rule.test),
                    "ci": interval_json(measure, rule.ci),
                    "rank": rank,
                }
                for rule, rank in zip(verdict.rules, mean_ranks, strict=True)
            ],
            "pairs": [
                {
                    **pair_json(pair),
                    "p_flips": plain(each.flips),
                    "better": each.better,
                    "worse": each.worse,
                    "surely_better": each.surely[0],
                    "surely_worse": each.surely[1],
                    "differences": {name: plain(value) for name, value in each.differences.items()},
                }
                for pair, each in zip(verdict.pairs, across.contrasts, strict=True)
            ],
            "ratio": across.ratio,
            "friedman_p": None if ranks is None else plain(ranks.friedman),
            "critical_distance": None if ranks is None else plain(ranks.critical_distance),
            "profile": None
            if profile is None
            else {
                "of": profile.of,
                "factor": profile.factor,
                "tau": [plain(tau) for tau in profile.tau],
                "share": {method: [plain(each) for each in share] for method, share in profile.share.items()},
            },
            "best": verdict.best,
            "separable": bool(verdict.separable),
            "sentences": list(verdict.sentences),
            "warnings": list(self.warnings),
            "each": {name: _without_table(each.json()) for name, each in self.datasets.items()},
            "table": self.table(),
        }

    def grids(self) -> list[Grid]:
        """The verdict over data sets as a table, and the scores on each."""
        return [self._over(), self._scores()]

    def _over(self) -> Grid:
        verdict, ranks = self.verdict, self.across.ranks
        columns, titles = words.rule_columns(verdict), words.column_titles(verdict)
        shown = {NOUN: tuple(rule.rule for rule in verdict.rules), "mean test": columns["test"]}
        if self.across.ratio:
            shown = {NOUN: shown[NOUN], titles["test"]: columns["test"]}
        shown[titles["interval"]] = columns["interval"]
        if ranks is not None:
            shown["rank"] = tuple(f"{rank:.2f}" for rank in ranks.mean)
        shown[""] = columns["standing"]
        return Grid(
            title=f"{self.name}, {count(len(self.datasets), 'data set')}",
            before=verdict.sentences,
            columns=tuple(shown),
            rows=tuple(zip(*shown.values(), strict=True)),
            left=(NOUN, ""),
            after=(
                *([] if ranks is None else [ranks_in_words(self)]),
                *(f"! {text}" for text in self.warnings),
            ),
        )

    def _scores(self) -> Grid:
        """A row per data set: each method's score, and which are better than which for sure."""
        order = [rule.rule for rule in self.verdict.rules]
        rows = []
        for name, each in self.datasets.items():
            tests = {rule.rule: rule.test for rule in each.verdict.rules}
            scores = (words.score(each.verdict.measure, tests.get(method)) for method in order)
            rows.append((name, *scores, outcome_of(each)))
        return Grid(
            before=("Each data set by itself:",),
            columns=("data set", *order, ""),
            rows=tuple(rows),
            left=("data set", ""),
            after=(self.of_each + _WHERE * bool(self._num_cautions),),
        )


def judged_datasets(
    name: str,
    scored: Mapping[str, Mapping[Run, Scored]],
    measure: Measure,
    alpha: float,
    page: Callable[[Judgement | Judgements, str | Path], Path],
) -> Judgements:
    """Judge methods on each data set, and over all of them.

    Args:
        name: of the results.
        scored: of each data set, each run's scores, higher is better.
        measure: what all scores measure.
        alpha: chance of any false "separable", on each data set and over all of them.
        page: writes the pages of what is returned, and of the verdict on each data set.

    Raises:
        InputError: as `judged`, with the data set's name before it.
    """
    datasets = {}
    for each, runs in scored.items():
        try:
            datasets[each] = judged(f"{name}, {each}", runs, measure, alpha, page)
        except InputError as error:
            raise InputError(f"data set {each!r}: {error}") from None
    across = judge_across(
        {each: found.verdict for each, found in datasets.items()}, measure=measure, alpha=alpha
    )
    untuned = any(UNTUNED in found.warnings for found in datasets.values())
    return Judgements(
        name=name,
        datasets=datasets,
        across=across,
        warnings=(*across.verdict.warnings, *[UNTUNED] * untuned),
        page=page,
    )


def outcome_of(found: Judgement) -> str:
    """What a data set's own verdict comes to, in a few words."""
    verdict = found.verdict
    if not verdict.pairs or verdict.best is None:
        return ""
    return f"{verdict.best} is best" if verdict.standing(verdict.best) == "best" else "not separable"


def ranks_in_words(found: Judgements) -> str:
    """What Friedman's test and Nemenyi's distance say of the average ranks."""
    ranks = found.across.ranks
    assert ranks is not None, "there are ranks"
    p = f"{ranks.friedman:.2g}" if ranks.friedman >= 1e-4 else "below 0.0001"
    return (
        f"Average ranks: Friedman's test has p = {p}, and Nemenyi's critical distance is"
        f" {ranks.critical_distance:.2f}. The verdict does not go by ranks."
    ).replace("p = below", "p below")


def _without_table(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "table"}
