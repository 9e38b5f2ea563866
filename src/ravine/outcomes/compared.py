"""Several studies under one verdict: the rules of all of them, side by side, on the data that they share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ravine.errors import InputError
from ravine.grid import Grid
from ravine.messages import count, plural, shown
from ravine.outcomes import words
from ravine.outcomes.apart import check_comparable, trained_apart
from ravine.outcomes.by_target import unlike_units
from ravine.outcomes.folds import FoldsResult, by_fold, has_folds
from ravine.outcomes.levels import noun_of
from ravine.outcomes.modes import config_id, judged_mode, mode_words
from ravine.outcomes.presented import Presented, interval_json, pair_json, score_json
from ravine.outcomes.regularized import judged
from ravine.outcomes.runs import Cell, plain
from ravine.outcomes.scored import log_scored
from ravine.outcomes.trials import Predicted, trials
from ravine.outcomes.trivial import Trivial, trivial_of
from ravine.store.records import FINISHED
from ravine.verdict import Trial, Verdict, judge
from ravine.verdict.words import listed

if TYPE_CHECKING:
    from ravine.outcomes.results import Results
    from ravine.store import RunRecord

STUDY = "study"
"""What is compared where each study, tuned over all that it tried, is one entry."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Comparison(Presented):
    """A verdict on several studies. Make one with ``ravine.compare``.

    Attributes:
        studies: the results of each, by what it is called here: its name, with its store where two have one name.
        runs: every run once for each label that it has; `rule` is the label.
        labels: of each label the studies that it is from, several where these have the same configurations.
        verdict: which is best, and whether that can be said at all.
        warnings: what a reader must know before believing it.
        validation, test: mean score of each run by its id, higher is better; of test for the chosen runs alone.
        trivial: what a predictor that looks at no input reaches; None: not known of the task.
        page: writes its page to a file; handed in, because pages lie above this room.
        folds: of studies with folds, each of the compared on each fold, and all of them over all folds.
    """

    studies: Mapping[str, Results]
    runs: tuple[RunRecord, ...]
    labels: Mapping[str, tuple[str, ...]]
    verdict: Verdict
    warnings: tuple[str, ...]
    validation: Mapping[str, float]
    test: Mapping[str, float]
    trivial: Trivial | None
    page: Callable[[Comparison, str | Path], Path]
    folds: FoldsResult | None = None

    @property
    def name(self) -> str:
        """The names of the studies, as a title."""
        return listed(list(self.studies))

    @property
    def noun(self) -> str:
        """What one of the compared is called: "rule", "model", "variant", "study", or "level" of any other factor."""
        return self.verdict.noun

    def table(self) -> list[dict[str, Cell]]:
        """One plain row per run of each study, for a data frame or a CSV file; what a run doesn't have is None."""
        rows = [{STUDY: name, **row} for name, study in self.studies.items() for row in study.table()]
        columns = dict.fromkeys(column for row in rows for column in row)
        return [{column: row.get(column) for column in columns} for row in rows]

    def json(self) -> dict[str, Any]:
        """The comparison as one object of plain, finite numbers: what ``ravine compare --json`` prints."""
        measure, verdict = self.verdict.measure, self.verdict
        return {
            "studies": [
                {
                    STUDY: name,
                    "store": study.source.root,
                    "runs": len(study.runs),
                    "configs": _num_configs(study.runs),
                    "seeds": len({run.seed for run in study.runs}),
                    "seconds": plain(study.seconds),
                }
                for name, study in self.studies.items()
            ],
            "metric": measure.name,
            "compared": [
                {
                    self.noun: rule.rule,
                    "of": list(self.labels[rule.rule]),
                    **{name: plain(value) for name, value in rule.hypers.items()},
                    "validation": score_json(measure, rule.validation),
                    "test": score_json(measure, rule.test),
                    "ci": interval_json(measure, rule.ci),
                    "configs": rule.num_configs,
                    "seeds": len(rule.seeds),
                    "diverged": rule.num_diverged,
                }
                for rule in verdict.rules
            ],
            "pairs": [{**pair_json(pair), "outcome": pair.outcome} for pair in verdict.pairs],
            **({"folds": self.folds.json()} if self.folds is not None else {}),
            "best": verdict.best,
            "separable": bool(verdict.separable),
            "sentences": list(verdict.sentences),
            "warnings": list(self.warnings),
            "table": self.table(),
        }

    def grid(self) -> Grid:
        """The verdict as a small table: its sentences, a row for each rule, what to read before relying on it."""
        verdict, titles = self.verdict, words.column_titles(self.verdict)
        names = words.row_names(verdict, self.trivial)
        columns = words.rule_columns(verdict, trivial=self.trivial)
        none = (words.NOTHING,) * (len(names) - len(verdict.rules))
        budgets = {
            "configs": (*(str(rule.num_configs) for rule in verdict.rules), *none),
            "seeds": (*(str(len(rule.seeds)) for rule in verdict.rules), *none),
        }
        last = {name: columns.pop(name) for name in ("diverged", "standing")}
        shown_columns = {self.noun: tuple(names), **columns, **budgets, **last}
        return Grid(
            title=self.name,
            before=verdict.sentences,
            columns=tuple(titles.get(name, name) for name in shown_columns),
            rows=tuple(zip(*shown_columns.values(), strict=True)),
            left=(self.noun, ""),
            below=words.below(verdict, self.runs),
            after=(
                *((words.of_trivial(self.trivial),) if self.trivial is not None else ()),
                *(f"{name}: {made_of(study)}" for name, study in self.studies.items()),
                *(f"! {text}" for text in self.warnings),
            ),
        )

    def grids(self) -> list[Grid]:
        """All tables: the verdict alone."""
        return [self.grid()]


def made_of(study: Results) -> str:
    """What a study tried, in a few words."""
    seeds = len({run.seed for run in study.runs})
    configs = _num_configs(study.runs)
    steps = sorted({run.num_steps for run in study.runs})
    length = f"{steps[0]:,}" if len(steps) == 1 else f"{steps[0]:,} to {steps[-1]:,}"
    return (
        f"{count(len(study.runs), 'run')} of {count(configs, 'config')} and {count(seeds, 'seed')},"
        f" {length} steps each" + (f", in {study.folds.dealt}" if study.folds is not None else "")
    )


def _num_configs(runs: Sequence[RunRecord]) -> int:
    """How many configs a study tried; those of one fold, where it has folds."""
    parts = by_fold(runs).values() if has_folds(runs) else [runs]
    return max(len({run.config for run in some}) for some in parts)


def compared(
    studies: Sequence[Results], page: Callable[[Comparison, str | Path], Path], *, whole: bool = False
) -> Comparison:
    """Judge several studies together.

    Args:
        studies: two or more; what each compares is what is compared here.
        page: writes the page of what is returned.
        whole: compare the studies as such, each tuned over its rules too.

    Raises:
        InputError: fewer than two, one twice, or studies whose data, split or metric differ.
    """
    named = comparable(studies)
    own, labels = together(named, whole)
    readers: dict[str, Predicted] = {}
    found: dict[tuple[str, str], Trial] = {}
    for name, study in named.items():
        predicted = Predicted(store=study.source, labels=study.labels, mode=study.mode, metric=study.metric)
        tried = trials(own[name], predicted)
        for each in judged(tried, study.regularized) if study.regularized else tried:
            found.setdefault((each.rule, each.run), each)  # a run that several have counts once
            readers.setdefault(each.run, predicted)
    tested: dict[str, float] = {}

    def test(run: str) -> np.ndarray:
        scores = readers[run].test_scores(run)
        tested[run] = float(scores.mean())
        return scores

    verdict = judge(
        list(found.values()),
        test,
        measure=studies[0].verdict.measure,
        noun=noun_of_all(named, whole=whole),
    )
    trivial = trivial_of(studies[0].labels, studies[0].metric)
    every = {(run.rule, run.id): run for runs in own.values() for run in runs}
    return Comparison(
        studies=named,
        runs=tuple(every.values()),
        labels=labels,
        verdict=verdict,
        warnings=(
            *unfinished(named),
            *judged_once(labels, verdict),
            *apart_in_training(own, verdict.noun),
            *unlike_units(studies[0].metric, studies[0].labels),
            *verdict.warnings,
            *_one_config(verdict),
            *words.beaten_by_trivial(verdict, trivial),
            *_logged(named, labels, verdict),
        ),
        validation={
            each.run: float(np.mean(each.validation, dtype=np.float64))
            for each in found.values()
            if each.validation is not None and not each.diverged
        },
        test={run: score for run, score in tested.items() if math.isfinite(score)},
        trivial=trivial,
        page=page,
    )


def together(
    named: Mapping[str, Results], whole: bool
) -> tuple[dict[str, list[RunRecord]], dict[str, tuple[str, ...]]]:
    """The runs of each study by what they are called here, and the studies of each label."""
    own = {name: _relabelled(study, name, whole) for name, study in named.items()}
    labels, called = _labels(own)
    return {
        name: [replace(run, rule=called[name, run.rule]) for run in runs] for name, runs in own.items()
    }, labels


def noun_of_all(named: Mapping[str, Results], *, whole: bool) -> str:
    """What one of the compared is called."""
    nouns = {noun_of(study.compare) for study in named.values()}
    return STUDY if whole else nouns.pop() if len(nouns) == 1 else "level"


def comparable(studies: Sequence[Results]) -> dict[str, Results]:
    """Studies by what they are called here.

    Raises:
        InputError: fewer than two, one twice, or studies whose data, split or metric differ.
    """
    if len(studies) < 2:
        one = f"only {shown(studies[0].name)}" if studies else "none"
        raise InputError(f"studies: {one} to compare; give two or more, separated by spaces")
    named: dict[str, Results] = {}
    places = set()
    for study in studies:
        place = study.source.root, study.name
        if place in places:
            raise InputError(
                f"study {shown(study.name)}: given twice; a study cannot be compared with itself"
            )
        places.add(place)
        alone = sum(study.name == other.name for other in studies) == 1
        named[study.name if alone else f"{study.source.root}/{study.name}"] = study
    check_comparable(named)
    return named


def _relabelled(study: Results, name: str, whole: bool) -> list[RunRecord]:
    """A study's runs; where studies are compared as such, with the study as their label and the rule as a hyper."""
    if not whole:
        return list(study.runs)
    several = len(study.rules) > 1
    return [
        replace(run, rule=name, hypers={**({study.noun: run.rule} if several else {}), **run.hypers})
        for run in study.runs
    ]


def _labels(
    own: Mapping[str, Sequence[RunRecord]],
) -> tuple[dict[str, tuple[str, ...]], dict[tuple[str, str], str]]:
    """What is compared, so that each has a label of its own.

    A rule that several studies tried with the same configurations is one method, whose runs are those of all. Where
    they tried others, these are several methods, and their labels say of which study.

    Returns:
        The studies of each label, and the label by study and rule.
    """
    configs: dict[str, dict[str, frozenset[str]]] = {}
    for name, runs in own.items():
        for rule in dict.fromkeys(run.rule for run in runs):
            configs.setdefault(rule, {})[name] = frozenset(run.config for run in runs if run.rule == rule)
    labels: dict[str, tuple[str, ...]] = {}
    called: dict[tuple[str, str], str] = {}
    for rule, of_study in configs.items():
        for tried in dict.fromkeys(of_study.values()):
            names = tuple(name for name, each in of_study.items() if each == tried)
            label = rule if len(set(of_study.values())) == 1 else f"{names[0]}: {rule}"
            labels[label] = names
            called |= {(name, rule): label for name in names}
    return labels, called


def unfinished(named: Mapping[str, Results]) -> list[str]:
    """Studies that have not finished, or whose runs were not evaluated as they ask."""
    notes = []
    for name, study in named.items():
        finished = [run for run in study.runs if run.status in FINISHED]
        if len(finished) < len(study.runs):
            notes.append(f"{name}: {words.unfinished(len(finished), len(study.runs))}")
        notes += [f"{name}: {text}" for text in judged_mode(study.asked, study.source, finished)[1]]
    return notes


def judged_once(labels: Mapping[str, tuple[str, ...]], verdict: Verdict) -> list[str]:
    """Methods that several studies have with the same configurations."""
    notes = []
    for rule in verdict.rules:
        if len(names := labels[rule.rule]) > 1:
            seeds = f" with {count(len(rule.seeds), 'seed')}" if rule.seeds else ""
            notes.append(
                f"{rule.rule}: {listed(names)} tried the same {count(rule.num_configs, 'config')}, so it is one entry"
                f"{seeds}, not compared with itself."
            )
    return notes


def apart_in_training(own: Mapping[str, Sequence[RunRecord]], noun: str) -> list[str]:
    """A caution where the studies differ in more than what is compared."""
    differs = trained_apart(own)
    if not differs:
        return []
    about = "" if noun == STUDY else f", so they differ in more than their {plural(noun)}"
    return [f"The studies were not trained alike{about}: {'; '.join(differs)}."]


def _one_config(verdict: Verdict) -> list[str]:
    """Pairs that chose one configuration, with other seeds."""
    return [
        f"{a.rule} and {b.rule} chose the same configuration, with other seeds: a difference between them is luck."
        for a, b in combinations(verdict.rules, 2)
        if a.config is not None and a.config == b.config and not set(a.runs) & set(b.runs)
    ]


def _logged(
    named: Mapping[str, Results], labels: Mapping[str, tuple[str, ...]], verdict: Verdict
) -> list[str]:
    """Note in each store what was scored on test."""
    notes = []
    for name, study in named.items():
        recipes = {
            config_id(rule.config, study.mode): (
                f"{listed(list(named))}: {rule.rule}, {mode_words(study.mode)}the mean over its seeds"
            )
            for rule in verdict.rules
            if rule.config is not None and name in labels[rule.rule]
        }
        notes += log_scored(study.source, study.study.data_fingerprint, recipes)[1]
    return list(dict.fromkeys(notes))
