"""What came out of a study with folds: each rule on each fold, tuned there by itself, and the rules compared over all.

A rule on a fold is judged as a study of its own: the config is chosen on the validation examples of that fold, at an
equal budget for all rules, and the test scores of its runs are read, for no other config.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ravine.data.deal_folds import FoldOf
from ravine.errors import InputError
from ravine.messages import count
from ravine.metrics import Metric
from ravine.outcomes.metric import check_labels, measures_of, scored_runs, squares_of
from ravine.outcomes.regression import Errors
from ravine.outcomes.runs import plain, plain_data
from ravine.outcomes.trials import Predicted, trials
from ravine.outcomes.trivial import Trivial, trivial_of
from ravine.store.records import FINISHED
from ravine.study.folds import FOLD, REPEAT
from ravine.study.metric import is_default
from ravine.verdict import Measure, OnFold, RuleResult, gains_over_folds, over_folds
from ravine.verdict.outcome import Gain, Pair
from ravine.verdict.selection import represented
from ravine.verdict.trials import Candidate, Trial, gather

if TYPE_CHECKING:
    from ravine.store import RunRecord, Store

ALPHA = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenOnFold:
    """The config of a rule on one fold.

    Args:
        rule: label.
        part: which fold.
        config: its id.
        hypers: its values.
        runs: ids of its finished runs.
        validation, test: mean scores over these, higher is better.
        lost: how many of its runs diverged.
        edge: "lower" or "upper" where its lr is the smallest or the largest of those tried; "" otherwise.
    """

    rule: str
    part: FoldOf
    config: str
    hypers: Mapping[str, float | str]
    runs: tuple[str, ...]
    validation: float
    test: float
    lost: int
    edge: str

    @property
    def words(self) -> str:
        """What it is, in the log of what was scored on test."""
        return f"{self.rule}, {self.part.words}, the mean over its seeds"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldsResult:
    """What the folds of a study came to.

    Args:
        folds, repeats: how many folds, and how many times they were dealt.
        ratio: test examples of a fold for each example outside of it.
        num_examples: examples that a repeat tests.
        num_configs: the common tuning budget.
        tried: how many configs of each rule a fold had to choose from, at most.
        chosen: the config of each rule on each fold that has a finished run.
        rules: each rule over all folds, the best first.
        pairs: every two rules.
        gains: what all others gained over the first level, where something else than rules is compared.
        trivial: what a predictor that looks at no input reaches, over all folds; None: not known of the task.
        measure: what scores measure.
        runs: of the study, with their values of the metric on validation among their numbers.
        errors: of a regression with one target, by rule: errors on the test examples, the mean over folds.
        validation_errors: likewise, by run: errors on the validation examples of its fold.
    """

    folds: int
    repeats: int
    ratio: float
    num_examples: int
    num_configs: int
    tried: Mapping[str, int]
    chosen: tuple[ChosenOnFold, ...]
    rules: tuple[RuleResult, ...]
    pairs: tuple[Pair, ...]
    gains: tuple[Gain, ...]
    trivial: Trivial | None
    measure: Measure
    runs: tuple[RunRecord, ...]
    errors: Mapping[str, Errors]
    validation_errors: Mapping[str, Errors]

    def __repr__(self) -> str:
        names = ", ".join(each.rule for each in self.rules)
        return f"FoldsResult({names}; {self.folds} folds x {self.repeats}; of(rule), chosen, rules, pairs, json())"

    @property
    def dealt(self) -> str:
        """How many folds there are, in a sentence."""
        return f"{self.folds} folds" + (f" and {count(self.repeats, 'repeat')}" if self.repeats > 1 else "")

    def of(self, rule: str) -> list[ChosenOnFold]:
        """A rule's chosen configs, in the order of the folds."""
        return [each for each in self.chosen if each.rule == rule]

    def chosen_hypers(self, rule: str) -> dict[str, dict[float | str, int]]:
        """Which values of each hyper were chosen for a rule, in how many folds each, the most frequent first."""
        found: dict[str, Counter[float | str]] = {}
        for each in self.of(rule):
            for name, value in each.hypers.items():
                if name not in (FOLD, REPEAT):
                    found.setdefault(name, Counter())[value] += 1
        return {
            name: dict(sorted(values.items(), key=lambda item: (-item[1], isinstance(item[0], str), item[0])))
            for name, values in found.items()
        }

    def json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "folds": self.folds,
            "repeats": self.repeats,
            "test_to_train": plain(self.ratio),
            "examples": self.num_examples,
            "pairs": [
                {
                    "first": each.first,
                    "second": each.second,
                    "difference": plain(each.difference),
                    "interval": [plain(end) for end in each.ci or (None, None)],
                    "p": plain(each.p),
                    "separable": each.separable,
                }
                for each in self.pairs
            ],
            "chosen": [
                {
                    "rule": each.rule,
                    **each.part.content(),
                    **plain_data({k: v for k, v in each.hypers.items() if k not in (FOLD, REPEAT)}),
                    "validation": plain(self.measure.readable(each.validation)),
                    "test": plain(self.measure.readable(each.test)),
                    "diverged": each.lost,
                    "runs": list(each.runs),
                }
                for each in self.chosen
            ],
        }


def has_folds(runs: Sequence[RunRecord]) -> bool:
    """Whether runs are those of a study with folds."""
    return any(FOLD in (run.recipe.get("part") or {}) for run in runs)


def by_fold(runs: Sequence[RunRecord]) -> dict[FoldOf, list[RunRecord]]:
    """The runs of each fold, the folds of one repeat after those of another."""
    found: dict[FoldOf, list[RunRecord]] = {}
    for run in runs:
        found.setdefault(FoldOf.of(run.recipe["part"]), []).append(run)
    return dict(sorted(found.items(), key=lambda item: (item[0].repeat, item[0].fold)))


def check_no_folds(runs: Sequence[RunRecord], study: str) -> None:
    """Refuse runs on folds where their losses, or their weights, would have to be compared.

    Raises:
        InputError: they are of folds.
    """
    if has_folds(runs):
        raise InputError(
            f"study {study!r} has folds: its runs learned from different parts of the data, and each fold has a winner"
            " of its own, so their losses and weights are not compared; run a study like it without split.folds, which"
            " has one split into training, validation and test"
        )


def folds_of(
    store: Store,
    runs: Sequence[RunRecord],
    fingerprint: str,
    metric: Metric,
    baseline: str | None = None,
    elsewhere: Mapping[str, Store] | None = None,
) -> FoldsResult:
    """Judge a study with folds.

    Args:
        store: where its predictions are.
        runs: of the study, with the compared levels as labels; some of them finished.
        fingerprint: of the whole data set.
        metric: what configs are chosen by on the validation examples of each fold, and what a fold's result is.
        baseline: the rule that the others' gains are over; None: there are no gains.
        elsewhere: the stores of runs that are in others, by the id of the run.

    Raises:
        StudyError: the metric does not fit the data, or has no value for the answers of a fold.
    """
    rules = tuple(dict.fromkeys(run.rule for run in runs))
    chosen: list[ChosenOnFold] = []
    tested: list[OnFold] = []
    ratios, sizes, budgets, without_inputs = [], Counter[int](), [], []
    errors: dict[str, list[Errors]] = {}
    validated: dict[str, Errors] = {}
    whole = store.labels.of(fingerprint)
    one_number, usual = whole.task == "regression" and not whole.targets, is_default(metric, whole.task)
    measures: list[Measure] = []
    tried: dict[str, int] = {}
    valued: dict[str, RunRecord] = {}
    by_part = by_fold([run for run in runs if run.status in FINISHED])
    for part, own in by_part.items():
        labels = store.labels.of(part.key(fingerprint))
        check_labels(metric, labels, part.words)
        train, validation, test = labels.sizes
        ratios.append(test / (train + validation))
        sizes[part.repeat] += test
        measures.append(measures_of(metric, labels)[0])
        without_inputs.append(trivial_of(labels, metric))
        found: list[Trial] = []
        readers: dict[str, Predicted] = {}
        for source, some in _by_store(own, store, elsewhere or {}):
            predicted = Predicted(store=source, labels=labels, metric=metric)
            here = trials(some, predicted)
            found += here
            readers |= {run.id: predicted for run in some}
            if one_number:
                squared = here if usual else squares_of(replace(predicted, metric=None), here, ())[0]
                validated |= {
                    each.run: Errors.of(
                        np.asarray(each.validation), labels.validation, labels.weights_of("validation")
                    )
                    for each in squared
                    if each.validation is not None
                }
        if not usual:
            valued |= {run.id: run for run in scored_runs(own, found, metric)}
        candidates = gather(found)
        for rule, group in candidates.items():
            tried[rule] = max(tried.get(rule, 0), len(group))
        budget = min(len(group) for group in candidates.values())
        budgets.append(budget)
        for rule in (rule for rule in rules if rule in candidates):
            alive = any(each.scores for each in candidates[rule])
            config = represented(candidates[rule], budget) if alive else candidates[rule][0]
            read = {seed: readers[run].test_scores(run) for seed, run in config.runs.items()}
            scores = {seed: each for seed, each in read.items() if bool(np.isfinite(each).all())}
            runs_read = [config.runs[seed] for seed in scores]
            lost = config.lost + len(read) - len(scores)
            tested.append(
                OnFold(
                    rule=rule,
                    repeat=part.repeat,
                    fold=part.fold,
                    scores=scores,
                    validation=config.mean if config.scores else None,
                    lost=lost,
                )
            )
            if scores:
                mean = float(np.mean([each.mean() for each in scores.values()]))
                if one_number:
                    off = (
                        scores.values()
                        if usual
                        else (replace(readers[run], metric=None).test_scores(run) for run in runs_read)
                    )
                    w_N = labels.weights_of("test")
                    errors.setdefault(rule, []).extend(Errors.of(each, labels.test, w_N) for each in off)
                own_choice = _chosen(part, config, candidates[rule], mean)
                chosen.append(replace(own_choice, runs=tuple(runs_read), lost=lost))
    ratio = sum(ratios) / len(ratios)
    # Of a share, an example counts at most as much as the heaviest of any fold.
    measure = max(measures, key=lambda each: each.heaviest or 0.0)
    results, pairs = over_folds(tested, ratio, measure, ALPHA)
    return FoldsResult(
        folds=1 + max(part.fold for part in by_part),
        repeats=1 + max(part.repeat for part in by_part),
        ratio=ratio,
        num_examples=max(sizes.values()),
        num_configs=min(budgets),
        tried=tried,
        chosen=tuple(chosen),
        rules=results,
        pairs=pairs,
        gains=() if baseline is None else gains_over_folds(baseline, results, tested, ratio, measure, ALPHA),
        trivial=_over_folds(without_inputs),
        measure=measure,
        runs=tuple(valued.get(run.id, run) for run in runs),
        errors={rule: Errors.mean(several) for rule, several in errors.items()},
        validation_errors=validated,
    )


def _by_store(
    runs: Sequence[RunRecord], store: Store, elsewhere: Mapping[str, Store]
) -> list[tuple[Store, list[RunRecord]]]:
    """The runs of each store."""
    found: dict[int, tuple[Store, list[RunRecord]]] = {}
    for run in runs:
        source = elsewhere.get(run.id, store)
        found.setdefault(id(source), (source, []))[1].append(run)
    return list(found.values())


def _over_folds(each_fold: Sequence[Trivial | None]) -> Trivial | None:
    """The mean of what it reaches on each fold, with the training answers of that fold."""
    found = [each for each in each_fold if each is not None]
    if len(found) < len(each_fold):
        return None

    def mean(of: Callable[[Trivial], Mapping[str, float]]) -> dict[str, float]:
        return {name: sum(of(each)[name] for each in found) / len(found) for name in of(found[0])}

    return replace(found[0], scores=mean(lambda each: each.scores), metrics=mean(lambda each: each.metrics))


def _chosen(part: FoldOf, config: Candidate, group: Sequence[Candidate], test: float) -> ChosenOnFold:
    lrs = sorted({each.lr for each in group if each.lr is not None})
    at_end = {lrs[0]: "lower", lrs[-1]: "upper"} if len(lrs) > 1 else {}
    return ChosenOnFold(
        rule=config.rule,
        part=part,
        config=config.config,
        hypers=config.hypers,
        runs=tuple(config.runs.values()),
        validation=config.mean,
        test=test,
        lost=config.lost,
        edge=at_end.get(config.lr, "") if config.lr is not None else "",
    )
