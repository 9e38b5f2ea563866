"""A comparison of studies in the form of results from elsewhere, which have a page."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ravine.outcomes.compared import Comparison
from ravine.outcomes.elsewhere import Judgement
from ravine.outcomes.runs import describe
from ravine.study import STAGE

if TYPE_CHECKING:
    from ravine.store import RunRecord


def as_judgement(found: Comparison, page: Callable[[Judgement, str | Path], Path]) -> Judgement:
    """The same verdict, with a row for each run: its label, as what is compared is called, and its config in words.

    Args:
        found: the comparison.
        page: writes the page.
    """
    readable = found.verdict.measure.readable
    configs = _in_words(found.runs)
    rules = tuple(
        replace(rule, hypers={"config": configs[rule.rule, rule.config]}) if rule.config is not None else rule
        for rule in found.verdict.rules
    )
    runs = sorted(found.runs, key=lambda run: (run.rule, configs[run.rule, run.config], run.seed))
    return Judgement(
        name=found.name,
        verdict=replace(found.verdict, rules=rules),
        validated=found.verdict.measure,
        warnings=found.warnings,
        runs=tuple(
            {
                found.noun: run.rule,
                "config": configs[run.rule, run.config],
                "seed": run.seed,
                "validation": readable(found.validation[run.id]) if run.id in found.validation else None,
                "test": readable(found.test[run.id]) if run.id in found.test else None,
            }
            for run in runs
        ),
        page=page,
        trivial=found.trivial,
    )


def _in_words(runs: Iterable[RunRecord]) -> dict[tuple[str, str], str]:
    """What each config is called, by its label and id: no two of a label alike."""
    found: dict[tuple[str, str], str] = {}
    for run in runs:
        if (run.rule, run.config) in found:
            continue
        text = describe(run.hypers, [name for name in run.hypers if name != STAGE])
        taken = {said for (label, _), said in found.items() if label == run.rule}
        found[run.rule, run.config] = f"{text} ({run.config})" if text in taken else text
    return found
