"""What networks predict of examples that they have not learned from: of every example of a study with folds.

Shapes: N example, K class or label, T target.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ravine.data.deal_folds import FoldOf
from ravine.errors import InputError
from ravine.messages import count
from ravine.outcomes.folds import ChosenOnFold, FoldsResult
from ravine.outcomes.framed import framed
from ravine.outcomes.looking import Judged, result_of
from ravine.outcomes.runs import Cell
from ravine.outcomes.trials import Predicted

if TYPE_CHECKING:
    from ravine.data import Dataset


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class OutOfFold:
    """Predictions of all examples by networks that have not learned from them. ``ravine.out_of_fold`` makes one.

    Attributes:
        study: its name.
        rule: whose networks they are, in each fold of the config that its validation chose.
        num_networks: how many have predicted each example: the mean is over these.
        numbers: (N,) the number of each example in the data, from 0; rows that were left out do not count.
        answers: (N,) the right classes or values; (N, K) 0 and 1 of labels, (N, T) of several targets.
        predicted: likewise; of classes and labels what is most probable.
        probabilities: (N, K) of the classes, or of each label; None of a regression.
        names: of the classes, labels or targets; empty of one target.
    """

    study: str
    rule: str
    num_networks: int
    numbers: np.ndarray
    answers: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray | None
    names: tuple[str, ...]

    def __repr__(self) -> str:
        return (
            f"OutOfFold({count(len(self.numbers), 'example')} of {self.study}, each by "
            f"{count(self.num_networks, 'network')} of {self.rule}; answers, predicted, probabilities, table())"
        )

    def table(self) -> list[dict[str, Cell]]:
        """A row per example, in the order of the data: its number, its answer, what is predicted, and probabilities."""
        columns: dict[str, Sequence[Cell]] = {"example": self.numbers.tolist()}
        classes = self.probabilities is not None and self.answers.ndim == 1
        for title, values in (("answer", self.answers), ("predicted", self.predicted)):
            if classes:
                columns[title] = [self.names[each] for each in values.tolist()]
            elif values.ndim == 1:
                columns[title] = values.tolist()
            else:
                columns |= {
                    f"{title} {name}": own.tolist() for name, own in zip(self.names, values.T, strict=True)
                }
        if self.probabilities is not None:
            columns |= {
                f"p {name}": own.tolist() for name, own in zip(self.names, self.probabilities.T, strict=True)
            }
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def frame(self, library: str) -> Any:
        """`table` as a data frame, where that library is installed.

        Args:
            library: "pandas" or "polars".

        Raises:
            InputError: it is neither, or not installed.
        """
        return framed(self.table(), library)


def out_of_fold_of(
    judged: Judged, folds: FoldsResult | None, fingerprint: str, rule: str | None
) -> OutOfFold:
    """The predictions of a rule's networks on the examples that they have not learned from.

    Args:
        judged: the study, with its data.
        folds: what was chosen; None: the study has none.
        fingerprint: of the whole data set.
        rule: whose networks; None: those of the best.

    Raises:
        InputError: no such rule, all its runs diverged, the study has no folds, or its data are not at hand.
    """
    if folds is None:
        raise InputError(
            f"study {judged.name!r} has no folds, so most of its examples were learned from; split = {{ folds = 5 }} "
            "tests every one"
        )
    if judged.data is None:
        raise InputError(
            f"study {judged.name!r}: its data are not at hand, so which examples a fold tests is not known; "
            "ravine.out_of_fold reads them again"
        )
    of = result_of(judged.verdict, rule)
    tested = tested_by(judged, folds, fingerprint, of.rule)
    runs = AsRuns.of(tested, min(len(each.outputs) for each in tested), judged.data)
    assert runs.rows is not None, "the data are at hand"
    labels = judged.predicted.labels
    outputs = [np.asarray(each, dtype=np.float64) for each in runs.outputs]
    p = None
    if labels.task == "classification":
        p = np.mean([_softmax(each) for each in outputs], axis=0)
        predicted = p.argmax(axis=1)
    elif labels.task == "multilabel":
        p = np.mean([np.exp(-np.logaddexp(0.0, -each)) for each in outputs], axis=0)
        predicted = (p > 0.5).astype(np.int64)
    else:
        predicted = np.mean(outputs, axis=0)
    return OutOfFold(
        study=judged.name,
        rule=of.rule,
        num_networks=len(runs.outputs),
        numbers=runs.rows,
        answers=runs.answers,
        predicted=predicted,
        probabilities=p,
        names=labels.classes or labels.targets,
    )


def _softmax(logits_NK: np.ndarray) -> np.ndarray:
    odds_NK = np.exp(logits_NK - logits_NK.max(axis=1, keepdims=True))
    found: np.ndarray = odds_NK / odds_NK.sum(axis=1, keepdims=True)
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tested:
    """A fold, as the networks see it that its validation chose.

    Args:
        part: which fold.
        outputs: of each of its networks on the fold's test examples.
        answers: to these.
    """

    part: FoldOf
    outputs: tuple[np.ndarray, ...]
    answers: np.ndarray

    @staticmethod
    def of(predicted: Predicted, chosen: ChosenOnFold) -> Tested:
        """What the chosen runs of a fold predict there."""
        outputs = predicted.test_outputs(chosen.runs)
        return Tested(part=chosen.part, outputs=tuple(outputs.values()), answers=predicted.labels.test)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AsRuns:
    """Networks of all folds as runs that predict the same examples.

    Args:
        answers: (N,) or (N, K) right ones.
        outputs: of each run.
        rows: (N,) the number of each example in the data; None where the data are not at hand.
        times: how many times each example is among them: the repeats, where `rows` are not known; else once.
    """

    answers: np.ndarray
    outputs: list[np.ndarray]
    rows: np.ndarray | None
    times: int

    @staticmethod
    def of(tested: Sequence[Tested], num_seeds: int, data: Dataset | None) -> AsRuns:
        """Those of some repeats, each with the same folds; as many seeds of each fold as all folds have."""
        repeats: dict[int, list[Tested]] = {}
        for each in tested:
            repeats.setdefault(each.part.repeat, []).append(each)
        answers = [np.concatenate([each.answers for each in folds]) for folds in repeats.values()]
        outputs = [
            [np.concatenate([each.outputs[seed] for each in folds]) for seed in range(num_seeds)]
            for folds in repeats.values()
        ]
        if data is None or data.folds is None:
            of_seeds = [np.concatenate(several) for several in zip(*outputs, strict=True)]
            return AsRuns(answers=np.concatenate(answers), outputs=of_seeds, rows=None, times=len(repeats))
        rows = [np.concatenate([data.folds.rows[each.part] for each in folds]) for folds in repeats.values()]
        orders = [np.argsort(each) for each in rows]
        first = answers[0][orders[0]]
        near = 1e-4 * float(np.abs(first).max(initial=0.0))  # numbers are kept by the scales of their folds
        assert all(
            np.allclose(own[order], first, rtol=0.0, atol=near)
            for own, order in zip(answers, orders, strict=True)
        ), "a repeat deals the same examples"
        return AsRuns(
            answers=first,
            outputs=[
                each[order] for of_seeds, order in zip(outputs, orders, strict=True) for each in of_seeds
            ],
            rows=rows[0][orders[0]],
            times=1,
        )


def tested_by(judged: Judged, folds: FoldsResult, fingerprint: str, rule: str) -> list[Tested]:
    """The folds as a rule's networks see them: those of every repeat in which all folds have one.

    Args:
        judged: the study.
        folds: what was chosen.
        fingerprint: of the whole data set.
        rule: label.
    """
    store = judged.predicted.store
    return _whole_repeats(
        Tested.of(Predicted(store=store, labels=store.labels.of(each.part.key(fingerprint))), each)
        for each in sorted(folds.of(rule), key=lambda each: (each.part.repeat, each.part.fold))
    )


def _whole_repeats(tested: Iterable[Tested]) -> list[Tested]:
    """The folds of every repeat in which all folds have a network; of the one with the most, where there is none."""
    found: dict[int, list[Tested]] = {}
    for each in tested:
        found.setdefault(each.part.repeat, []).append(each)
    every = {each.part.fold for folds in found.values() for each in folds}
    whole = [folds for folds in found.values() if len(folds) == len(every)]
    most = max(found.values(), key=len)
    return [each for folds in whole or [most] for each in folds]
