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
from ravine.outcomes.folds import check_no_folds
from ravine.outcomes.runs import final, plain, plain_data
from ravine.outcomes.trials import Predicted, trials
from ravine.store.records import FINISHED
from ravine.study.ladder import DRAW, PER_CLASS
from ravine.verdict import (
    ArmResult,
    Crossover,
    DrawnGap,
    Fall,
    Reading,
    arm_results,
    crossover,
    falls_of,
    gaps_of,
)
from ravine.verdict.selection import represented
from ravine.verdict.trials import Candidate, gather

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
        training, validation, test: mean accuracies over these; validation is None where nothing was tuned.
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
    lost: int

    @property
    def words(self) -> str:
        """What it is, in the log of what was scored on test."""
        return f"{self.arm}, {self.part.per_class} per class, draw {self.part.draw}, the mean over its seeds"

    @property
    def gap(self) -> float:
        """By how much it is better on what it learned from than on the test examples."""
        return self.training - self.test


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderResult:
    """What a ladder came to.

    Args:
        arms: labels, in the order of the study.
        per_class: the rungs, ascending.
        chosen: the config of each arm on each part that has a finished run.
        rungs: each arm at each rung, with an interval of its own.
        pairs: each two arms that share a rung, with their crossover.
        gaps: of each arm at each rung, by how much it knows its training examples better than new ones.
        falls: of each arm that is tuned at two rungs, by how much that gap is smaller with many examples.
    """

    arms: tuple[str, ...]
    per_class: tuple[int, ...]
    chosen: tuple[Chosen, ...]
    rungs: tuple[ArmResult, ...]
    pairs: tuple[Crossover, ...]
    gaps: tuple[DrawnGap, ...]
    falls: tuple[Fall, ...]

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
        return {
            "arms": list(self.arms),
            "rungs": [
                {
                    "arm": each.arm,
                    "per_class": each.per_class,
                    "tuned": PartOf(per_class=each.per_class, draw=0).tuned,
                    "accuracy": plain(each.mean),
                    "interval": [plain(each.low), plain(each.high)],
                    "draws": {str(draw): plain(value) for draw, value in each.draws.items()},
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
                    "val_accuracy": plain(each.validation),
                    "test_accuracy": plain(each.test),
                    "runs": list(each.runs),
                }
                for each in self.chosen
            ],
        }


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


def ladder_of(store: Store, runs: Sequence[RunRecord], labels: Labels) -> LadderResult:
    """Judge a ladder.

    Args:
        store: where its predictions are.
        runs: of the study, in its order, with arms as labels; some of them finished.
        labels: of the whole data set.
    """
    arms = tuple(dict.fromkeys(run.rule for run in runs))
    chosen: list[Chosen] = []
    readings: list[Reading] = []
    for part, own in _by_part(runs):
        predicted = Predicted(store=store, labels=part_labels(labels, part))
        candidates = gather(trials(own, predicted))
        budget = min(len(group) for group in candidates.values())
        for arm in (arm for arm in arms if arm in candidates):
            alive = any(each.scores for each in candidates[arm])
            config = represented(candidates[arm], budget) if alive else candidates[arm][0]
            tests = {seed: predicted.test_scores(run) for seed, run in config.runs.items()}
            lost = [None] * config.lost
            for seed, scores in [*tests.items(), *((-1 - i, each) for i, each in enumerate(lost))]:
                readings.append(
                    Reading(arm=arm, per_class=part.per_class, draw=part.draw, seed=seed, scores=scores)
                )
            if tests:
                test = sum(float(scores.mean()) for scores in tests.values()) / len(tests)
                chosen.append(_chosen(part, config, test, own))
    num = len(labels.classes)
    shares = {n: min(1.0, n * num / labels.sizes[0]) for n in {each.per_class for each in readings}}
    finished = {each.arm for each in readings if each.scores is not None}
    both = list(combinations([arm for arm in arms if arm in finished], 2))
    pairs = [
        crossover(readings, first, second, shares=shares, num_pairs=len(both))
        for first, second in both
        if _places(readings, first) & _places(readings, second)
    ]
    trained = {(each.arm, each.part.per_class, each.part.draw): each.training for each in chosen}
    return LadderResult(
        arms=arms,
        per_class=tuple(sorted(shares)),
        chosen=tuple(chosen),
        rungs=arm_results(readings, shares),
        pairs=tuple(pairs),
        gaps=gaps_of(readings, trained, shares),
        falls=falls_of(readings, trained, shares),
    )


def part_labels(labels: Labels, part: PartOf) -> Labels:
    """The right answers of a part, which are known without its data: see `ravine.data.parts`."""
    train, validation = part.answers(len(labels.classes))
    return replace(labels, validation=validation, sizes=(len(train), len(validation), len(labels.test)))


def own_labels(run: RunRecord, labels: Labels) -> Labels:
    """The right answers of what a run was trained on: the data set, or a part of it."""
    part = run.recipe.get("part")
    return labels if part is None else part_labels(labels, PartOf.of(part))


def _by_part(runs: Sequence[RunRecord]) -> Iterator[tuple[PartOf, list[RunRecord]]]:
    """The finished runs on each part, the smallest first."""
    found: dict[tuple[int, int], list[RunRecord]] = {}
    for run in runs:
        if run.status in FINISHED:
            part = PartOf.of(run.recipe["part"])
            found.setdefault((part.per_class, part.draw), []).append(run)
    for (per_class, draw), own in sorted(found.items(), key=lambda each: each[0]):
        yield PartOf(per_class=per_class, draw=draw), own


def _chosen(part: PartOf, config: Candidate, test: float, runs: Sequence[RunRecord]) -> Chosen:
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
        test=test,
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
