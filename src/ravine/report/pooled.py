"""Runs of a study as members of pools: what the figures of "One predictor out of many runs" are computed from.

They read validation predictions only, and a bounded number of them: of seeds of the winner, and of the best run of each
of the best configs. Where there are very many examples, the figures are of some of them, drawn by a key.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ravine.ensembles import gain
from ravine.ensembles.cells import Cells
from ravine.ensembles.folds import shuffled
from ravine.ensembles.losses import ClassLosses, Losses, ValueLosses, true_log_p
from ravine.ensembles.members import as_members, best_of_configs, usable, winner_of
from ravine.ensembles.pool import Pool
from ravine.ensembles.pooling import Pooled
from ravine.ensembles.rival import rivals_of
from ravine.outcomes.member import Member
from ravine.outcomes.results import Results
from ravine.outcomes.runs import describe, final
from ravine.outcomes.trials import Predicted
from ravine.report.views import Group
from ravine.store import RunRecord

MOST_SEEDS = 50
FEWEST_CONFIGS, MOST_CONFIGS = 10, 40  # else the better half of them: poor runs differ from all others
_WORK = 1 << 24  # probabilities of all pools whose gain is computed, about
_FEWEST_EXAMPLES, _MOST_EXAMPLES = 500, 5_000
_FEWEST_SUBSETS, _MOST_SUBSETS = 32, 1024


@dataclass(frozen=True, kw_only=True, eq=False)
class Members:
    """Members with what they predict on validation.

    Attributes:
        seeds: of the winner, at least two, by their number.
        best: the one of them with the best validation score.
        configs: the best run of each of the better configs, by validation loss, the best first.
        outputs: logits (N, K) or values (N,), by name; of cells where an example has several answers.
        answers: (N,) the right ones.
        cells: how examples are seen; `outputs` are of cells.
        names: of the answers of an example, where it has several.
        longer: what longer runs of the winner predict, a row each, by how many times as long they are.
        num_subsets: how many pools of each size the gain is the mean of, about, at most.
        group: the section of the report that their figures share.
        noun: what a member's `rule` is called.
    """

    seeds: tuple[Member, ...]
    best: Member
    configs: tuple[Member, ...]
    outputs: dict[str, np.ndarray]
    answers: np.ndarray
    cells: Cells
    names: tuple[str, ...]
    longer: dict[int, np.ndarray]
    num_subsets: int
    group: Group
    noun: str = "rule"

    @property
    def per(self) -> int:
        """Cells of an example."""
        return self.cells.per

    @property
    def is_regression(self) -> bool:
        """True where the predictions are values."""
        return self.outputs[self.best.name].ndim == 1

    @property
    def winner(self) -> str:
        """The winner's config for people."""
        return f"{self.best.rule} ({describe(self.best.hypers, self.best.hypers)})"

    def of(self, members: Sequence[Member]) -> list[np.ndarray]:
        """What some members predict."""
        return [self.outputs[each.name] for each in members]

    @cached_property
    def pooled(self) -> Pooled:
        """The seeds as one."""
        cells = Cells(
            task="regression" if self.is_regression else "classification"
        )  # these are cells already
        return Pool.of(self.seeds, [1.0] * len(self.seeds), "mean").predict(cells, self.outputs)

    @cached_property
    def curve(self) -> tuple[gain.Gain, ...]:
        """Scores of pools of the seeds by their number."""
        if self.is_regression:
            return gain.of_values(self.of(self.seeds), self.answers, per=self.per)
        return gain.of_classes(self.of(self.seeds), self.answers, most=self.num_subsets, per=self.per)

    def losses(self, members: Sequence[Member]) -> Losses:
        """Those of pools of some members."""
        of_all, places = self._losses
        rows = np.stack([of_all[places[each.name]] for each in members])
        return ValueLosses(rows, self.per) if self.is_regression else ClassLosses(rows, self.per)

    def by_example(self, found: np.ndarray) -> np.ndarray:
        """The mean over the cells of each example, over the last axis."""
        return found.reshape(*found.shape[:-1], -1, self.per).mean(axis=-1) if self.per > 1 else found

    @property
    def num_examples(self) -> int:
        """Examples that the figures are of."""
        return len(self.answers) // self.per

    @cached_property
    def _losses(self) -> tuple[np.ndarray, dict[str, int]]:
        """Errors, or logarithms of the probabilities of right classes, a row a member; and each member's row."""
        outputs = list(self.outputs.values())
        if self.is_regression:
            found = np.stack(outputs).astype(np.float64) - self.answers
        else:
            found = np.stack([true_log_p(each, self.answers) for each in outputs])
        return found, {name: place for place, name in enumerate(self.outputs)}


def members_of(results: Results) -> Members | None:
    """The members that the figures are of; None where the winner has fewer than two seeds to pool.

    Args:
        results: the study.
    """
    metric, labels = results.score_metric, results.labels
    if sum(final(run, metric) is not None for run in results.runs) < 2:
        return None
    winner = [run for run in winner_of(results.runs, metric, results.name) if final(run, metric) is not None]
    seeds = sorted(winner, key=lambda run: (run.seed, run.id))[:MOST_SEEDS]
    scored = [
        (loss, run)
        for run in best_of_configs(results.runs)
        if (loss := final(run, "validation_loss")) is not None
    ]
    half = min(max(-(-len(scored) // 2), FEWEST_CONFIGS), MOST_CONFIGS)
    configs = [run for _, run in sorted(scored, key=lambda pair: (pair[0], pair[1].id))[:half]]
    if len(seeds) < 2:
        return None
    cells = Cells.of(labels)
    num_classes = max(1, len(labels.classes), cells.per)
    examples = _examples(len(seeds), len(labels.validation), num_classes)
    stored = Predicted(store=results.source, labels=labels).outputs(
        "validation", list(dict.fromkeys(run.id for run in (*seeds, *configs)))
    )
    outputs = {run: found[examples] for run, found in stored.items()}
    finite = {run for run, found in outputs.items() if np.isfinite(found).all()}
    own = [each for each in as_members(seeds) if each.run in finite]
    different = {each.run for each in usable(own, outputs, labels)[0]} if own else set()
    own = [each for each in own if each.run in different]
    if len(own) < 2:
        return None
    return Members(
        seeds=tuple(own),
        best=next(each for run in winner for each in own if each.run == run.id),
        configs=tuple(each for each in as_members(configs) if each.run in finite),
        outputs={run: cells.outputs(found) for run, found in outputs.items() if run in finite},
        answers=cells.answers(labels.validation[examples]),
        cells=cells,
        names=labels.targets or (labels.classes if cells.labels else ()),
        longer=_longer(results, winner[0], len(own), examples),
        num_subsets=_subsets(len(own), len(examples) * num_classes),
        group=_group(results, len(own), len(winner), len(examples)),
        noun=results.noun,
    )


def _longer(results: Results, winner: RunRecord, most: int, examples: np.ndarray) -> dict[int, np.ndarray]:
    """What runs predict that `ravine ensemble --rival` trained."""
    predicted, found = Predicted(store=results.source, labels=results.labels), {}
    cells = Cells.of(results.labels)
    for times, runs in rivals_of(results.source, results.name, winner, most).items():
        outputs = predicted.outputs("validation", [run.id for run in runs])
        found[times] = np.stack([cells.outputs(outputs[run.id][examples]) for run in runs])
    return found


def _examples(num_members: int, num_examples: int, num_classes: int) -> np.ndarray:
    """Which examples the figures are of: all, where they are not too many to compute everything in half a second."""
    work = num_classes * sum(
        min(math.comb(num_members, size), _FEWEST_SUBSETS) for size in gain.sizes(num_members)
    )
    most = min(max(_FEWEST_EXAMPLES, _WORK // work), _MOST_EXAMPLES)
    return np.arange(num_examples) if num_examples <= most else np.sort(shuffled(num_examples, 2)[:most])


def _subsets(num_members: int, num_numbers: int) -> int:
    """How many pools of each size there is time for."""
    most = _WORK // (num_numbers * len(gain.sizes(num_members)))
    return min(max(most, _FEWEST_SUBSETS), _MOST_SUBSETS)


def _group(results: Results, num_members: int, num_seeds: int, num_examples: int) -> Group:
    whole = len(results.labels.validation)
    of = "the" if num_examples == whole else f"{num_examples:,} of the {whole:,}"
    left = "" if num_members == num_seeds else f" Of its {num_seeds:,} seeds {num_members:,} are used."
    about = (
        f"The winner is the config with the best mean on validation.{left} Everything here is computed from the"
        f" predictions for {of} validation examples, without a temperature unless it says so;"
        f" `ravine ensemble {results.name}` has the verdict on test."
    )
    return Group(name="pooled", title="One predictor out of many runs", about=about)
