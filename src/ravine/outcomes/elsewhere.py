"""A verdict on results from elsewhere: scores of several methods over several seeds, whatever trained them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ravine.errors import InputError
from ravine.grid import Grid
from ravine.messages import plural
from ravine.outcomes import words
from ravine.outcomes.presented import Presented, interval_json, pair_json, score_json
from ravine.outcomes.runs import Cell
from ravine.outcomes.trivial import Trivial
from ravine.verdict import Measure, RuleResult, Trial, Verdict, judge

Array = NDArray[np.float64]
NOUN = "method"
UNTUNED = (
    "There are no validation scores, so nothing was tuned here: how much luck there was in choosing each method's"
    " hypers is not known, and not in the intervals."
)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Run:
    """Who a run is.

    Args:
        method: what is compared.
        config: which of the method's configurations; empty where it has but one.
        seed: runs of one seed are pairs, over all methods.
    """

    method: str
    config: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scored:
    """A run's scores, higher is better: (n,) of its test examples, or (1,) of the run as a whole.

    Args:
        test: NaN where the run diverged.
        validation: the same on validation data; None: not known.
    """

    test: Array
    validation: Array | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Judgement(Presented):
    """A verdict on results from elsewhere.

    Attributes:
        name: of the results, such as the file's.
        verdict: which method is best, and whether that can be said at all.
        validated: what validation scores measure.
        warnings: what a reader must know before believing it.
        runs: of each run its method, config, seed and mean scores.
        page: writes its page to a file; handed in, because pages lie above this room.
        trivial: what a predictor that looks at no input reaches, where that is known.
    """

    name: str
    verdict: Verdict
    validated: Measure
    warnings: tuple[str, ...]
    runs: tuple[Mapping[str, Cell], ...]
    page: Callable[[Judgement, str | Path], Path]
    trivial: Trivial | None = None

    @property
    def noun(self) -> str:
        """What one of the compared is called: "method", or of studies what they compare."""
        return self.verdict.noun

    @property
    def methods(self) -> tuple[str, ...]:
        """The names of all methods, sorted."""
        return tuple(dict.fromkeys(str(row[self.noun]) for row in self.runs))

    def configs(self, method: str) -> tuple[str, ...]:
        """The names of a method's configs, sorted; "" for one without a name."""
        return tuple(dict.fromkeys(str(row["config"] or "") for row in self.runs if row[self.noun] == method))

    def seeds(self, method: str, part: str, config: str | None = None) -> dict[int, float]:
        """Each seed's mean score, as people know it; runs that diverged are left out.

        Args:
            method: whose.
            part: "test" or "validation".
            config: of the method; None: the one that was chosen.
        """
        if config is None:
            rule = next(each for each in self.verdict.rules if each.rule == method)
            config = str(rule.hypers.get("config", ""))
        return {
            int(row["seed"]): float(row[part])  # type: ignore[arg-type]
            for row in self.runs
            if row[self.noun] == method and (row["config"] or "") == config and row[part] is not None
        }

    def table(self) -> list[dict[str, Cell]]:
        """A row per run, for a data frame or a CSV file; a number that is not known is None."""
        return [dict(row) for row in self.runs]

    def json(self) -> dict[str, Any]:
        """The verdict as one object of plain, finite numbers: what ``ravine judge --json`` prints."""
        measure, verdict = self.verdict.measure, self.verdict
        return {
            "metric": measure.name,
            plural(self.noun): [
                {
                    self.noun: rule.rule,
                    "config": rule.hypers.get("config"),
                    "validation": score_json(measure, rule.validation),
                    "test": score_json(measure, rule.test),
                    "ci": interval_json(measure, rule.ci),
                    "seeds": len(rule.seeds),
                    "configs": rule.num_configs,
                }
                for rule in verdict.rules
            ],
            "pairs": [pair_json(pair) for pair in verdict.pairs],
            "best": verdict.best,
            "separable": bool(verdict.separable),
            "sentences": list(verdict.sentences),
            "warnings": list(self.warnings),
            "table": self.table(),
        }

    def grid(self) -> Grid:
        """The verdict as a small table: its sentences, a row per method, what to read before relying on it."""
        verdict = self.verdict
        columns, titles = words.rule_columns(verdict), words.column_titles(verdict)
        seeds = tuple(str(len(rule.seeds)) for rule in verdict.rules)
        configs = tuple(str(rule.hypers.get("config", "")) for rule in verdict.rules)
        shown = {self.noun: tuple(rule.rule for rule in verdict.rules), "test": columns["test"]}
        shown["interval"] = columns["interval"]
        if any(rule.validation is not None for rule in verdict.rules):
            shown["val"] = columns["val"]
        if any(configs):
            shown["config"] = configs
        shown |= {"seeds": seeds, "standing": columns["standing"]}
        return Grid(
            title=self.name,
            before=verdict.sentences,
            columns=tuple(titles.get(name, name) for name in shown),
            rows=tuple(zip(*shown.values(), strict=True)),
            left=(self.noun, "", "config"),
            after=tuple(f"! {text}" for text in self.warnings),
        )

    def grids(self) -> list[Grid]:
        """All tables: the verdict alone."""
        return [self.grid()]


def judged(
    name: str,
    scored: Mapping[Run, Scored],
    measure: Measure,
    alpha: float,
    page: Callable[[Judgement, str | Path], Path],
) -> Judgement:
    """Choose each method's configuration on validation and compare the methods on the test scores.

    Args:
        name: of the results.
        scored: each run's scores, higher is better; all have validation scores, or none.
        measure: what they measure; whether they are by example is seen from them.
        alpha: chance of any false "separable".
        page: writes the page of what is returned.

    Raises:
        InputError: a method has several configurations and nothing to choose by, or runs have different numbers of
            scores.
    """
    tuned = any(each.validation is not None for each in scored.values())
    if not tuned:
        _one_config_each(scored)
    validated = _seen(measure, [each.validation for each in scored.values() if each.validation is not None])
    measure = _seen(measure, [each.test for each in scored.values()])
    names = {run: f"{run.method}\0{run.config}\0{run.seed}" for run in scored}
    tests = {names[run]: each.test for run, each in scored.items()}
    trials = [
        Trial(
            rule=run.method,
            config=f"{run.method}\0{run.config}",
            hypers={"config": run.config} if run.config else {},
            seed=run.seed,
            run=names[run],
            diverged=not _finite(each),
            validation=(each.validation if tuned else np.zeros(1)) if _finite(each) else None,
        )
        for run, each in scored.items()
    ]
    verdict = judge(
        trials,
        tests.__getitem__,
        measure=measure,
        validated=validated if tuned else None,
        tuned=tuned,
        alpha=alpha,
        noun=NOUN,
    )
    return Judgement(
        name=name,
        verdict=verdict,
        page=page,
        validated=validated,
        warnings=(
            *(() if tuned else (UNTUNED,)),
            *verdict.warnings,
            *_copies(verdict, {names[run]: each for run, each in scored.items()}),
        ),
        runs=tuple(_row(run, scored[run], measure) for run in sorted(scored)),
    )


def _seen(measure: Measure, scores: list[Array]) -> Measure:
    """The measure of these scores: by example or not, right and wrong or not. Runs that diverged say nothing of it."""
    by_example = any(len(each) > 1 for each in scores)
    known = [each for each in scores if np.isfinite(each).all()]
    binary = measure.percent and by_example and all(bool(np.isin(each, (0.0, 1.0)).all()) for each in known)
    return replace(measure, by_example=by_example, binary=binary)


def _finite(scored: Scored) -> bool:
    parts = [scored.test] if scored.validation is None else [scored.test, scored.validation]
    return all(bool(np.isfinite(part).all()) for part in parts)


def _one_config_each(scored: Mapping[Run, Scored]) -> None:
    configs: dict[str, set[str]] = {}
    for run in scored:
        configs.setdefault(run.method, set()).add(run.config)
    for method, found in configs.items():
        if len(found) > 1:
            raise InputError(
                f"method {method!r} has {len(found)} configs and no validation scores to choose one by; give"
                " validation scores too, or one config: the best on the test data would be chosen by luck"
            )


def _copies(verdict: Verdict, scored: Mapping[str, Scored]) -> list[str]:
    """Methods that are the same whatever their seed."""
    return [
        _alike(rule, [scored[run] for run in rule.runs])
        for rule in verdict.rules
        if len(rule.runs) > 1 and _same([scored[run].test for run in rule.runs])
    ]


def _alike(rule: RuleResult, runs: Sequence[Scored]) -> str:
    """What it is that seeds have the same test scores: not one run several times, where validation tells them apart."""
    validation = [each.validation for each in runs if each.validation is not None]
    score = "scores" if len(runs[0].test) > 1 else "score"
    what = (
        "scores, as one run under several names or a method without randomness has"
        if _same(validation)
        else f"test {score}"
    )
    then = (
        "so nothing is known of their spread, and there is no interval"
        if rule.ci is None
        else "its interval knows nothing of how else it might have come out"
    )
    return f"{rule.rule}: all of its seeds have the same {what}; {then}."


def _same(scores: Sequence[Array]) -> bool:
    return all(np.array_equal(each, scores[0]) for each in scores)


def _row(run: Run, scored: Scored, measure: Measure) -> dict[str, Cell]:
    def mean(scores: Array | None) -> float | None:
        found = math.nan if scores is None else float(scores.mean())
        return measure.readable(found) if math.isfinite(found) else None

    return {
        NOUN: run.method,
        "config": run.config or None,
        "seed": run.seed,
        "validation": mean(scored.validation),
        "test": mean(scored.test),
    }
