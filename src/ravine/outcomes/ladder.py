"""What came out of a ladder: each arm at each rung, tuned by itself on each draw, and where two arms cross.

An arm, a rung and a draw are judged as a study of their own: the config is chosen on the validation examples of that
part, at an equal budget for all arms, and its runs' test scores are read, for no other config. Below five examples per
class there is one config and nothing to choose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

from ravine.data.parts import PartOf
from ravine.errors import InputError
from ravine.messages import count
from ravine.metrics import Metric
from ravine.outcomes.folds import check_no_folds
from ravine.outcomes.metric import measures_of, scored_runs
from ravine.outcomes.runs import Cell, final, plain, plain_data
from ravine.outcomes.trials import Predicted, trials
from ravine.store.records import FINISHED
from ravine.study.ladder import DRAW, PER_CLASS
from ravine.study.metric import is_default
from ravine.verdict import (
    ACCURACY,
    ArmResult,
    Crossover,
    DrawnGap,
    Fall,
    Measure,
    Reading,
    arm_results,
    crossover,
    falls_of,
    gaps_of,
)
from ravine.verdict.selection import represented
from ravine.verdict.trials import Candidate, Scores, gather

if TYPE_CHECKING:
    from ravine.store import Labels, RunRecord, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The config of an arm on one part of the training set.

    Args:
        arm: label.
        part: which part.
        config: its id.
        hypers: its values.
        runs: ids of its finished runs.
        training: mean accuracy over these on what they learned from.
        validation, test: mean scores over these, higher is better; validation is None where nothing was tuned.
        accuracy: mean accuracy on test.
        lost: how many of its runs diverged.
    """

    arm: str
    part: PartOf
    config: str
    hypers: Mapping[str, float | str]
    runs: tuple[str, ...]
    training: float
    validation: float | None
    test: float
    accuracy: float
    lost: int

    @property
    def words(self) -> str:
        """What it is, in the log of what was scored on test."""
        return f"{self.arm}, {self.part.per_class} per class, draw {self.part.draw}, the mean over its seeds"

    @property
    def gap(self) -> float:
        """By how much its accuracy is better on what it learned from than on the test examples."""
        return self.training - self.accuracy


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderResult:
    """What a ladder came to.

    Args:
        arms: labels, in the order of the study.
        per_class: the rungs, ascending.
        chosen: the config of each arm on each part that has a finished run.
        rungs: each arm at each rung, with an interval of its own.
        pairs: each two arms that share a rung, with their crossover.
        gaps: of each arm at each rung, by how much its accuracy is better on its training examples than on new ones.
        falls: of each arm that is tuned at two rungs, by how much that gap is smaller with many examples.
        measure: what scores measure; that of rungs and pairs.
        runs: of the study, with their values of the metric on validation among their numbers.
    """

    arms: tuple[str, ...]
    per_class: tuple[int, ...]
    chosen: tuple[Chosen, ...]
    rungs: tuple[ArmResult, ...]
    pairs: tuple[Crossover, ...]
    gaps: tuple[DrawnGap, ...]
    falls: tuple[Fall, ...]
    measure: Measure = ACCURACY
    runs: tuple[RunRecord, ...] = ()

    def __repr__(self) -> str:
        draws = len({each.part.draw for each in self.chosen})
        ns = ", ".join(map(str, self.per_class))
        return (
            f"LadderResult({', '.join(self.arms)}; n = {ns}; {count(draws, 'draw')}; rung(arm, n), best(n), rungs, "
            "pairs, gaps, falls, chosen, json())"
        )

    def rung(self, arm: str, per_class: int) -> ArmResult | None:
        """An arm with n examples per class."""
        return next((each for each in self.rungs if (each.arm, each.per_class) == (arm, per_class)), None)

    def best(self, per_class: int) -> str | None:
        """The arm that is better than each other at a rung for sure; None where there is none."""
        for arm in self.arms:
            own = [each for each in self.pairs if arm in (each.first, each.second)]
            if own and all(each.better(per_class) == arm for each in own):
                return arm
        return None

    def json(self) -> dict[str, Any]:
        """Plain data."""
        name, known = self.measure.metric, self.measure.readable
        return {
            "arms": list(self.arms),
            "rungs": [
                {
                    "arm": each.arm,
                    "per_class": each.per_class,
                    "tuned": PartOf(per_class=each.per_class, draw=0).tuned,
                    name: None if each.mean is None else plain(known(each.mean)),
                    "interval": self._interval(each),
                    "draws": {str(draw): plain(known(value)) for draw, value in each.draws.items()},
                    "diverged": each.lost,
                }
                for each in self.rungs
            ],
            "pairs": [_pair(each) for each in self.pairs],
            "gaps": [
                {
                    "arm": each.arm,
                    "per_class": each.per_class,
                    "gap": plain(each.mean),
                    "interval": [plain(each.low), plain(each.high)],
                    "draws": {str(draw): plain(value) for draw, value in each.draws.items()},
                }
                for each in self.gaps
            ],
            "falls": [
                {
                    "arm": each.arm,
                    "per_class": [each.few, each.many],
                    "gaps": [plain(each.before), plain(each.after)],
                    "fall": plain(each.size),
                    "interval": [plain(each.low), plain(each.high)] if each.known else [None, None],
                    "sentence": each.sentence,
                }
                for each in self.falls
            ],
            "chosen": [
                {
                    "arm": each.arm,
                    **each.part.content(),
                    **plain_data(
                        {name: v for name, v in each.hypers.items() if name not in (PER_CLASS, DRAW)}
                    ),
                    "train_accuracy": plain(each.training),
                    f"val_{name}": None if each.validation is None else plain(known(each.validation)),
                    "test_accuracy": plain(each.accuracy),
                    f"test_{name}": plain(known(each.test)),
                    "runs": list(each.runs),
                }
                for each in self.chosen
            ],
        }

    def _interval(self, rung: ArmResult) -> list[Cell]:
        if rung.low is None or rung.high is None:
            return [None, None]
        return [plain(end) for end in sorted(map(self.measure.readable, (rung.low, rung.high)))]


def is_ladder(runs: Sequence[RunRecord]) -> bool:
    """Whether runs are those of a ladder."""
    return any(PER_CLASS in (run.recipe.get("part") or {}) for run in runs)


def check_no_ladder(runs: Sequence[RunRecord], study: str) -> None:
    """Refuse runs of a ladder, or of folds, where one set of validation examples is needed for all.

    Raises:
        InputError: they are of one.
    """
    check_no_folds(runs, study)
    if is_ladder(runs):
        raise InputError(
            f"study {study!r} is a ladder: its runs learn from different parts of the data, so nothing is made of them "
            "together; for a model, run a study without [ladder] that trains as one of its arms does, on all examples; "
            "`ravine show` prints one"
        )


def ladder_of(store: Store, runs: Sequence[RunRecord], labels: Labels, metric: Metric) -> LadderResult:
    """Judge a ladder.

    Args:
        store: where its predictions are.
        runs: of the study, in its order, with arms as labels; some of them finished.
        labels: of the whole data set.
        metric: what configs are chosen by on the validation examples of each part, and what arms are compared by.

    Raises:
        StudyError: the metric has no value for the answers of a part.
    """
    measure, usual = measures_of(metric, labels)[0], is_default(metric, labels.task)
    arms = tuple(dict.fromkeys(run.rule for run in runs))
    chosen: list[Chosen] = []
    readings: list[Reading] = []
    right: list[Reading] = []
    valued: dict[str, RunRecord] = {}
    for part, own in _by_part(runs):
        own_answers = part_labels(labels, part, store, own[0])
        predicted = Predicted(store=store, labels=own_answers, metric=metric)
        found = trials(own, predicted)
        candidates = gather(found)
        if not usual:
            valued |= {run.id: run for run in scored_runs(own, found, metric)}
        budget = min(len(group) for group in candidates.values())
        for arm in (arm for arm in arms if arm in candidates):
            alive = any(each.scores for each in candidates[arm])
            config = represented(candidates[arm], budget) if alive else candidates[arm][0]
            tests = {seed: predicted.test_scores(run) for seed, run in config.runs.items()}
            readings += _readings(arm, part, tests, config.lost)
            accurate = replace(predicted, metric=None)
            hits = tests if usual else {seed: accurate.test_scores(run) for seed, run in config.runs.items()}
            right += _readings(arm, part, hits, config.lost)
            if tests:
                chosen.append(_chosen(part, config, (_mean(tests), _mean(hits)), own))
    num = len(labels.classes)
    shares = {n: min(1.0, n * num / labels.sizes[0]) for n in {each.per_class for each in readings}}
    finished = {each.arm for each in readings if each.scores is not None}
    both = list(combinations([arm for arm in arms if arm in finished], 2))
    pairs = [
        crossover(readings, first, second, shares=shares, num_pairs=len(both), measure=measure)
        for first, second in both
        if _places(readings, first) & _places(readings, second)
    ]
    trained = {(each.arm, each.part.per_class, each.part.draw): each.training for each in chosen}
    return LadderResult(
        arms=arms,
        per_class=tuple(sorted(shares)),
        chosen=tuple(chosen),
        rungs=arm_results(readings, shares, measure=measure),
        pairs=tuple(pairs),
        gaps=gaps_of(right, trained, shares),
        falls=falls_of(right, trained, shares),
        measure=measure,
        runs=tuple(valued.get(run.id, run) for run in runs),
    )


def _readings(arm: str, part: PartOf, tests: Mapping[int, Scores], lost: int) -> list[Reading]:
    """The test scores of a config by seed, and its runs that have none."""
    scores = [*tests.items(), *((-1 - number, None) for number in range(lost))]
    return [
        Reading(arm=arm, per_class=part.per_class, draw=part.draw, seed=seed, scores=each)
        for seed, each in scores
    ]


def _mean(tests: Mapping[int, Scores]) -> float:
    return sum(float(scores.mean()) for scores in tests.values()) / len(tests)


def part_labels(labels: Labels, part: PartOf, store: Store, run: RunRecord) -> Labels:
    """The right answers of a part, which are known without its data: see `ravine.data.parts`. Weights are not.

    Args:
        labels: of the whole data set.
        part: which part.
        store: what has the weights of a part, where these count in scores.
        run: one of the part's.
    """
    if labels.weights is not None:
        return store.labels.of(part.key(run.recipe["data"]))
    train, validation = part.answers(len(labels.classes))
    return replace(labels, validation=validation, sizes=(len(train), len(validation), len(labels.test)))


def own_labels(run: RunRecord, labels: Labels, store: Store) -> Labels:
    """The right answers of what a run was trained on: the data set, or a part of it."""
    part = run.recipe.get("part")
    return labels if part is None else part_labels(labels, PartOf.of(part), store, run)


def _by_part(runs: Sequence[RunRecord]) -> Iterator[tuple[PartOf, list[RunRecord]]]:
    """The finished runs on each part, the smallest first."""
    found: dict[tuple[int, int], list[RunRecord]] = {}
    for run in runs:
        if run.status in FINISHED:
            part = PartOf.of(run.recipe["part"])
            found.setdefault((part.per_class, part.draw), []).append(run)
    for (per_class, draw), own in sorted(found.items(), key=lambda each: each[0]):
        yield PartOf(per_class=per_class, draw=draw), own


def _chosen(part: PartOf, config: Candidate, means: tuple[float, float], runs: Sequence[RunRecord]) -> Chosen:
    ids = tuple(config.runs.values())
    training = [final(run, "train_accuracy") for run in runs if run.id in ids]
    known = [value for value in training if value is not None]
    return Chosen(
        arm=config.rule,
        part=part,
        config=config.config,
        hypers=config.hypers,
        runs=ids,
        training=sum(known) / len(known) if known else float("nan"),
        validation=config.mean if part.tuned else None,
        test=means[0],
        accuracy=means[1],
        lost=config.lost,
    )


def _places(readings: Sequence[Reading], arm: str) -> set[tuple[int, int]]:
    """The rungs and draws at which an arm has a finished run."""
    return {(each.per_class, each.draw) for each in readings if each.arm == arm and each.scores is not None}


def _pair(pair: Crossover) -> dict[str, Any]:
    return {
        "first": pair.first,
        "second": pair.second,
        "outcome": pair.outcome.name.lower(),
        "sentence": pair.sentence,
        "crossover": plain(pair.at),
        "set": [[plain(low), plain(high)] for low, high in pair.confidence],
        "differences": [
            {
                "per_class": each.per_class,
                "tuned": each.tuned,
                "difference": plain(each.mean),
                "band": [plain(each.low), plain(each.high)],
                "draws": {str(draw): plain(value) for draw, value in each.draws.items()},
            }
            for each in pair.rungs
        ],
    }
