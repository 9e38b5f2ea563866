"""What the networks of a study with folds get wrong: each example as those see it that have not learned from it.

In each repeat an example is tested by the seeds of the config that its own fold's validation chose. One seed of every
fold together has predicted all examples once, as a run on a test split does; so a repeat with S seeds is S runs.
Intervals are over folds, and corrected for what their training sets have in common (`ravine.verdict.fold_errors`).

Shapes: S seed, N example, K class or label.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ravine.errors import InputError
from ravine.messages import count
from ravine.outcomes.by_label import ByLabel
from ravine.outcomes.confusion import Confusion, OfClass
from ravine.outcomes.deviations import Deviations, Tenth
from ravine.outcomes.folds import FoldsResult
from ravine.outcomes.hardest import look_of
from ravine.outcomes.looking import Judged, check_looked_at, placed, result_of
from ravine.outcomes.mistakes import Mistakes
from ravine.outcomes.off_targets import OffTargets
from ravine.outcomes.out_of_fold import AsRuns, Tested, tested_by
from ravine.outcomes.runs import describe
from ravine.verdict import Measure, measure_of
from ravine.verdict.fold_errors import mean_interval_over_folds

if TYPE_CHECKING:
    pass

ALPHA = 0.05
_OVER = "training sets and examples"
Wrong = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From outputs and answers to a score of some of the examples."""


def fold_mistakes(
    judged: Judged, folds: FoldsResult, fingerprint: str, *, rule: str | None, split: str | None, num: int
) -> Mistakes:
    """What the networks that the folds chose get wrong on the examples that they have not seen.

    Args:
        judged: the study; where its data are at hand, examples are known from one repeat to another.
        folds: what was chosen.
        fingerprint: of the whole data set.
        rule: whose networks are looked at; None: those of the best.
        split: "test", or None.
        num: of the hardest examples.

    Raises:
        InputError: no such rule, another split, or all runs of the rule diverged.
    """
    check_looked_at(judged, split, num)
    if split == "validation":
        raise InputError(
            f"split = {split!r}: study {judged.name!r} has folds, which test every example by networks that have not "
            "learned from it; leave split out"
        )
    of = result_of(judged.verdict, rule)
    tested = tested_by(judged, folds, fingerprint, of.rule)
    num_seeds = min(len(each.outputs) for each in tested)
    runs = AsRuns.of(tested, num_seeds, judged.data)
    names = [str(place) for place in range(len(runs.outputs))]
    found = look_of(judged.predicted.labels)(
        runs.answers,
        runs.outputs,
        iter(zip(names, runs.outputs, strict=True) if num and runs.rows is not None else ()),
        set(names),
        num,
    )
    over = _OverFolds(tested=tested, ratio=folds.ratio, times=runs.times)
    rows = np.zeros(0, dtype=np.int64) if runs.rows is None else runs.rows
    examples = (replace(each, number=int(rows[each.number])) for each in found.hardest)
    return Mistakes(
        study=judged.name,
        noun=judged.verdict.noun,
        rule=of.rule,
        hypers=_hypers(of.lr, of.hypers),
        split="test",
        num_runs=found.num_runs,
        confusion=None if found.confusion is None else over.of_classes(found.confusion),
        labels=None if found.labels is None else over.of_labels(found.labels),
        deviations=None if found.deviations is None else over.of_numbers(found.deviations),
        targets=None if found.targets is None else over.of_targets(found.targets, rows),
        examples=tuple(placed(judged.data, "test", each) for each in examples),
        num_suspects=found.num_suspects,
        whole=runs.rows is not None,
        about=_about(of.rule, tested, num_seeds),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _OverFolds:
    """Gives what was counted over all folds its intervals.

    Args:
        tested: the folds.
        ratio: test examples of a fold for each example outside of it.
        times: how many times each example was counted.
    """

    tested: Sequence[Tested]
    ratio: float
    times: int

    def of_classes(self, found: Confusion) -> Confusion:
        """A confusion matrix."""
        rows = [self._of_class(each, _of_class(k)) for k, each in enumerate(found.by_class)]
        return replace(found, num_runs=found.num_runs * self.times, by_class=tuple(rows), over=_OVER)

    def of_labels(self, found: ByLabel) -> ByLabel:
        """Each label."""
        rows = [self._of_class(each, _of_label(k)) for k, each in enumerate(found.by_class)]
        return replace(found, num_runs=found.num_runs * self.times, by_class=tuple(rows), over=_OVER)

    def of_targets(self, found: OffTargets, rows: np.ndarray) -> OffTargets:
        """Tenths of each of several targets; examples by their number in the data."""
        return OffTargets(
            targets={
                name: self.of_numbers(each, place) for place, (name, each) in enumerate(found.targets.items())
            },
            largest={
                name: tuple(replace(one, number=int(rows[one.number])) for one in some)
                for name, some in found.largest.items()
            },
        )

    def of_numbers(self, found: Deviations, target: int | None = None) -> Deviations:
        """Tenths of a target; which, where there are several."""
        return replace(
            found,
            num_runs=found.num_runs * self.times,
            tenths=tuple(self._of_tenth(each, target) for each in found.tenths),
            over=_OVER,
        )

    def _of_class(self, each: OfClass, wrong: Wrong) -> OfClass:
        low, high = self._interval(wrong, each.error, measure_of("classification"))
        return replace(each, num=each.num // self.times, low=low, high=high)

    def _of_tenth(self, each: Tenth, target: int | None) -> Tenth:
        def squares(values: np.ndarray, right: np.ndarray) -> np.ndarray:
            if target is not None:
                values, right = values[:, target], right[:, target]
            inside = (right >= each.low) & (right <= each.high)
            found: np.ndarray = -np.square(values[inside].astype(np.float64) - right[inside])
            return found

        low, high = self._interval(squares, -(each.rmse**2), measure_of("regression"))
        ends = math.sqrt(abs(min(high, 0.0))), math.sqrt(abs(min(low, 0.0)))
        return replace(each, num=each.num // self.times, ends=ends)

    def _interval(self, score: Wrong, mean: float, measure: Measure) -> tuple[float, float]:
        """That of a mean over those examples of each fold that have a score."""
        scores = {
            (each.part.repeat, each.part.fold): np.stack(
                [score(one, each.answers).astype(np.float64) for one in each.outputs]
            )
            for each in self.tested
        }
        some = {at: each for at, each in scores.items() if each.size}
        if len(some) < 2:
            return math.nan, math.nan
        return mean_interval_over_folds(some, self.ratio, measure, ALPHA, mean=mean)


def _of_class(k: int) -> Wrong:
    """Whether examples of a class are taken for others."""

    def wrong(logits_NK: np.ndarray, right_N: np.ndarray) -> np.ndarray:
        found: np.ndarray = logits_NK[right_N == k].argmax(axis=1) != k
        return found

    return wrong


def _of_label(k: int) -> Wrong:
    """Whether a label is there and not given, or given and not there."""

    def wrong(logits_NK: np.ndarray, right_NK: np.ndarray) -> np.ndarray:
        found: np.ndarray = (logits_NK[:, k] > 0.0) != (right_NK[:, k] > 0)
        return found

    return wrong


def _about(rule: str, tested: Sequence[Tested], num_seeds: int) -> str:
    """Whose answers they are, as the beginning of a sentence."""
    parts = [each.part for each in tested]
    folds, repeats = len({part.fold for part in parts}), len({part.repeat for part in parts})
    again = f" and {count(repeats, 'repeat')}" if repeats > 1 else ""
    return (
        f"{rule}, over {count(folds, 'fold')}{again}, each example by {count(num_seeds * repeats, 'network')} that "
        f"{'has' if num_seeds * repeats == 1 else 'have'} not seen it"
    )


def _hypers(lr: float | None, hypers: Mapping[str, float | str]) -> str:
    """What the folds chose, for people."""
    return describe(hypers, hypers) if hypers else f"lr {lr:.4g}" if lr is not None else ""
