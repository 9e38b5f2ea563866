"""Looks at what the runs of a study get wrong.

On validation at every run; on test only at the runs of the configs that validation chose, whose scores the verdict has
read already.

Shapes: N example, K class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

import numpy as np

from ravine.data import Dataset
from ravine.data.as_read import values_of
from ravine.errors import InputError, choices
from ravine.messages import whole_number
from ravine.outcomes.hardest import LOOKS, look_of
from ravine.outcomes.mistakes import Mistake, Mistakes
from ravine.outcomes.runs import describe
from ravine.outcomes.trials import Predicted, Split
from ravine.verdict import RuleResult, Verdict

if TYPE_CHECKING:
    from ravine.store import RunRecord

MOST = 1000
_AT_ONCE = 16  # runs whose predictions are in memory


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """A study whose runs are looked at, after its verdict.

    Args:
        name: of the study.
        runs: all of them.
        verdict: on them.
        predicted: reads what they predict.
        data: the data set, where it is at hand.
    """

    name: str
    runs: Sequence[RunRecord]
    verdict: Verdict
    predicted: Predicted
    data: Dataset | None

    @property
    def has_mistakes(self) -> bool:
        """Whether there is something to look at: a task that is known, and a rule with a run that finished."""
        labels = self.predicted.labels
        return (bool(labels.targets) or labels.task in LOOKS) and self.verdict.best is not None


def mistakes_of(judged: Judged, *, rule: str | None, split: str | None, num: int) -> Mistakes:
    """What the runs of a study get wrong.

    Args:
        judged: the study; where its data are at hand, examples have places and values.
        rule: the rule, or level, whose chosen config is looked at, and whose runs the hardest examples are about; None:
            the best, and all runs.
        split: "validation", or "test" for the runs of the chosen config alone; None: validation.
        num: of the hardest examples; 0: none are looked for, and only the chosen config's predictions are read.

    Raises:
        InputError: no such rule or split, all runs of the rule diverged, or the study has a ladder.
    """
    check_looked_at(judged, split, num)
    part: Split = "test" if split == "test" else "validation"
    verdict, predicted = judged.verdict, judged.predicted
    of = result_of(verdict, rule)
    chosen = predicted.test_outputs(of.runs) if part == "test" else predicted.outputs(part, of.runs)
    every, sure = list(of.runs), set(of.runs)
    if part == "validation":
        every = [run.id for run in judged.runs if run.status == "done" and rule in (None, run.rule)]
        if rule is None:
            sure = {run for each in verdict.rules for run in each.runs}
    found = look_of(predicted.labels)(
        predicted.answers(part),
        list(chosen.values()),
        _outputs(predicted, part, every if num else [], chosen),
        sure,
        num,
    )
    return Mistakes(
        study=judged.name,
        noun=verdict.noun,
        rule=of.rule,
        hypers=describe(of.hypers, of.hypers),
        split=part,
        num_runs=found.num_runs,
        confusion=found.confusion,
        labels=found.labels,
        deviations=found.deviations,
        targets=found.targets,
        examples=tuple(placed(judged.data, part, each) for each in found.hardest),
        num_suspects=found.num_suspects,
        whole=judged.data is not None,
    )


def check_looked_at(judged: Judged, split: str | None, num: int) -> None:
    """Refuse a split, a number of examples, or a study, that nothing is looked at of.

    Raises:
        InputError: says what is wrong.
    """
    whole_number("num", num, 0, MOST)
    if split is not None and split not in get_args(Split):
        raise InputError(f"split = {split!r}: {choices(split, get_args(Split))}")
    if not judged.verdict.rules:
        raise InputError(
            f"study {judged.name!r} has a ladder: no run of it learned from all examples; mistakes are of a "
            "study without `ladder`, with what the verdict names best"
        )
    look_of(judged.predicted.labels)


def result_of(verdict: Verdict, rule: str | None) -> RuleResult:
    """The rule that is asked for, or the best.

    Raises:
        InputError: there is none of that name, or none of its runs has finished.
    """
    wanted = verdict.best if rule is None else rule
    known = {each.rule: each for each in verdict.rules}
    if wanted is not None and wanted not in known:
        raise InputError(
            f"{verdict.noun} {wanted!r}: the study has none of that name; {choices(wanted, tuple(known))}"
        )
    found = known.get(wanted or "")
    if found is None or found.config is None:
        whose = "all runs" if rule is None else f"{verdict.noun} {rule!r}: all of its runs"
        raise InputError(f"{whose} diverged, so there is nothing to look at")
    return found


def _outputs(
    predicted: Predicted, split: Split, run_ids: Sequence[str], known: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, np.ndarray]]:
    """What runs put out, a few at a time; those that are not finite are left out."""
    for start in range(0, len(run_ids), _AT_ONCE):
        some = run_ids[start : start + _AT_ONCE]
        missing = [run for run in some if run not in known]
        read = predicted.outputs(split, missing) if missing else {}
        for run in some:
            found = known[run] if run in known else read[run]
            if np.isfinite(found).all():
                yield run, found


def located(data: Dataset, number: int) -> tuple[Dataset, int]:
    """The data set that has an example, and its row in that split.

    With folds a number counts all examples; its data set is that of the fold that tests it in the first repeat.
    """
    if data.folds is None:
        return data, number
    for part, rows in data.folds.rows.items():
        (at,) = np.nonzero(rows == number)
        if len(at):
            return data.folds.of(part), int(at[0])
    raise AssertionError("every example is tested")


def placed(data: Dataset | None, split: Split, each: Mistake) -> Mistake:
    """With its place and its values, where the data are at hand."""
    if data is None:
        return each
    own, row = located(data, each.number)
    return replace(each, place=own.place(split, row), values=values_of(own, split, row))
