"""What runs get wrong: which classes they confuse, where in a target's range they are off, and which examples are hard.

On validation that is looked at for every run; on test only for the runs of the configs that validation chose, whose
scores the verdict has read already.

Shapes: R run, N example, K class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from ravine.data import Dataset
from ravine.data.as_read import values_of
from ravine.errors import InputError, choices
from ravine.grid import Grid
from ravine.messages import count, whole_number
from ravine.outcomes.confusion import Confusion, percents
from ravine.outcomes.deviations import Deviations
from ravine.outcomes.runs import describe, plain
from ravine.outcomes.trials import Predicted, Split
from ravine.outcomes.words import NOTHING
from ravine.verdict import RuleResult, Verdict

if TYPE_CHECKING:
    from ravine.store import RunRecord

MOST = 1000
NOT_AT_HAND = "The data are not at hand, so only the numbers of the examples are known."
_AT_ONCE = 16  # runs whose predictions are in memory
_FEWEST = 3  # runs from which "nearly all" means something
_NEARLY_ALL = 0.9  # of the runs, and of the probability
_SHOWN = 6  # values of a row, in a terminal
SUSPECT = "?"
"""The mark of an example that is perhaps mislabelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """An example that runs get wrong.

    Args:
        number: in its part of the data, from 0.
        answer: its class, or its value.
        said: what runs say most often in its place; of a regression the median of what they predict.
        wrong: share of the runs that are wrong; None in a regression.
        off: in a regression, the median of how far the runs are off, in the target's unit; else None.
        loss: mean over the runs: cross-entropy, or squared error.
        suspect: nearly all runs of the chosen configs are sure of the same other class: it is perhaps mislabelled.
        place: where it came from, such as a file or a line of one; empty where the data are not at hand.
        values: its columns, where the data are a table and at hand.
    """

    number: int
    answer: str
    said: str
    wrong: float | None
    off: float | None
    loss: float
    suspect: bool = False
    place: str = ""
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mistakes:
    """What runs of a study get wrong on a part of its data.

    Args:
        study: its name.
        noun: what it compares: "rule", "model" and so on.
        rule: the one whose chosen config `confusion` and `deviations` are of.
        hypers: of that config, as words.
        split: "validation" or "test".
        num_runs: runs that `examples` are about: all that finished, on test those of the chosen config.
        confusion: of a classification.
        deviations: of a regression.
        examples: the hardest first; before them those that are perhaps mislabelled.
        num_suspects: how many of all examples these are.
        whole: whether places and values of the examples are known.
    """

    study: str
    noun: str
    rule: str
    hypers: str
    split: Split
    num_runs: int
    confusion: Confusion | None
    deviations: Deviations | None
    examples: tuple[Mistake, ...]
    num_suspects: int
    whole: bool

    @property
    def of_config(self) -> int:
        """How many runs the chosen config has."""
        found = self.confusion or self.deviations
        assert found is not None, "a task has one of them"
        return found.num_runs

    @property
    def sentences(self) -> tuple[str, ...]:
        """How much is wrong, and what is suspected."""
        runs = count(self.of_config, "run")
        first = f"{runs} of {self.rule} ({self.hypers}), {self.split}"
        if self.confusion is not None:
            first += f": {percents(self.confusion.error)} of the answers are wrong"
        return (f"{first}.", *([self.suspicion] if self.suspicion else []))

    @property
    def suspicion(self) -> str:
        """What is said of examples that are perhaps mislabelled; empty where there are none."""
        if not self.num_suspects:
            return ""
        one = self.num_suspects == 1
        return (
            f"{count(self.num_suspects, 'example')} {'is' if one else 'are'} perhaps mislabelled: nearly all runs of "
            f"the chosen configs are sure of the same other class. Look at {'it' if one else 'them'} before you trust "
            f"{'its label' if one else 'their labels'}: a hard example that is labelled rightly looks the same."
        )

    def grids(self) -> list[Grid]:
        """For a terminal: the matrix and its classes, or the tenths; then the hardest examples."""
        if self.confusion is not None:
            found = [self.confusion.grid(), self.confusion.class_grid()]
        else:
            assert self.deviations is not None, "a task has one of them"
            found = [self.deviations.grid()]
        return [Grid(title=self.study, before=self.sentences), *found, self.example_grid()]

    def example_grid(self) -> Grid:
        """The hardest examples, the values of rows below."""
        columns, rows = self.example_table(0)
        if self._names(1) and "place" in columns:  # they are below, with the values
            at = columns.index("place")
            columns, rows = _without(columns, at), tuple(_without(row, at) for row in rows)
        marked = any(each.suspect for each in self.examples)
        return Grid(
            before=(f"The {self.split} examples that are hardest for {count(self.num_runs, 'run')}:",),
            columns=columns,
            rows=rows,
            left=self.words(0),
            below=tuple((f"{each.number:,}", _shortly(each)) for each in self.examples if each.values),
            after=(
                *([f"{SUSPECT} perhaps mislabelled"] if marked else []),
                *(() if self.whole else (NOT_AT_HAND,)),
            ),
        )

    def example_table(self, most: int) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
        """The hardest examples as titles and rows of texts.

        Args:
            most: columns of the data that are shown, at most.
        """
        names = self._names(most)
        places = any(each.place for each in self.examples)
        titles = (
            ("example", "answer", "predicted", "off by", "mean loss")
            if self.deviations is not None
            else ("example", "answer", "taken for", "wrong", "mean loss", "")
        )
        rows = tuple(
            (
                f"{each.number:,}",
                each.answer,
                each.said,
                percents(each.wrong) if each.wrong is not None else _number(each.off),
                f"{each.loss:.3g}",
                *([SUSPECT if each.suspect else ""] if self.confusion is not None else []),
                *([each.place] if places else []),
                *(each.values.get(name, "") for name in names),
            )
            for each in self.examples
        )
        return (*titles, *(["place"] if places else []), *names), rows

    def words(self, most: int) -> tuple[str, ...]:
        """The titles of `example_table` whose columns are words."""
        names = [
            name
            for name in self._names(most)
            if not _are_numbers(each.values[name] for each in self.examples)
        ]
        return ("taken for", "", "place", *names, *(["answer"] if self.confusion is not None else []))

    def _names(self, most: int) -> tuple[str, ...]:
        return tuple(self.examples[0].values)[:most] if self.examples else ()

    def json(self) -> dict[str, Any]:
        """As JSON has it."""
        kind = (
            {"confusion": self.confusion.json()}
            if self.confusion is not None
            else {"deviations": self.deviations.json() if self.deviations is not None else None}
        )
        return {
            "study": self.study,
            self.noun: self.rule,
            "hypers": self.hypers,
            "split": self.split,
            **kind,
            "runs": self.num_runs,
            "perhaps_mislabelled": self.num_suspects,
            "examples": [
                {
                    "number": each.number,
                    "answer": each.answer,
                    "said": each.said,
                    **({} if each.wrong is None else {"wrong": plain(each.wrong)}),
                    **({} if each.off is None else {"off": plain(each.off)}),
                    "loss": plain(each.loss),
                    **({} if self.confusion is None else {"perhaps_mislabelled": each.suspect}),
                    **({"place": each.place} if each.place else {}),
                    **({"values": dict(each.values)} if each.values else {}),
                }
                for each in self.examples
            ],
        }

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.grids()))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        return "".join(grid.html() for grid in self.grids())


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
        return labels.task in _OF_TASK and not labels.targets and self.verdict.best is not None


def mistakes_of(judged: Judged, *, rule: str | None, split: str, num: int) -> Mistakes:
    """What the runs of a study get wrong.

    Args:
        judged: the study; where its data are at hand, examples have places and values.
        rule: the rule, or level, whose chosen config is looked at, and whose runs the hardest examples are about; None:
            the best, and all runs.
        split: "validation", or "test" for the runs of the chosen config alone.
        num: of the hardest examples; 0: none are looked for, and only the chosen config's predictions are read.

    Raises:
        InputError: no such rule or split, all runs of the rule diverged, or the study has a ladder.
    """
    whole_number("num", num, 0, MOST)
    if split not in get_args(Split):
        raise InputError(f"split = {split!r}: {choices(split, get_args(Split))}")
    part: Split = "test" if split == "test" else "validation"
    verdict, predicted = judged.verdict, judged.predicted
    if not verdict.rules:
        raise InputError(f"study {judged.name!r} has a ladder: no run of it learned from all examples")
    labels = predicted.labels
    if labels.targets:
        raise InputError(
            f"study {judged.name!r}: mistakes are of one target, and this has {len(labels.targets)}; `ravine show` has "
            "the errors of each"
        )
    if labels.task not in _OF_TASK:
        raise InputError(f"study {judged.name!r}: mistakes of task {labels.task!r} are not looked at")
    of = _result_of(verdict, rule)
    chosen = predicted.test_outputs(of.runs) if part == "test" else predicted.outputs(part, of.runs)
    every, sure = list(of.runs), set(of.runs)
    if part == "validation":
        every = [run.id for run in judged.runs if run.status == "done" and rule in (None, run.rule)]
        if rule is None:
            sure = {run for each in verdict.rules for run in each.runs}
    found = _OF_TASK[labels.task](
        labels.classes,
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
        deviations=found.deviations,
        examples=tuple(_placed(judged.data, part, each) for each in found.hardest),
        num_suspects=found.num_suspects,
        whole=judged.data is not None,
    )


def _result_of(verdict: Verdict, rule: str | None) -> RuleResult:
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


Runs = Iterator[tuple[str, np.ndarray]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What a task makes of the runs; see `Mistakes`."""

    confusion: Confusion | None = None
    deviations: Deviations | None = None
    hardest: Sequence[Mistake] = ()
    num_suspects: int = 0
    num_runs: int = 0


def _of_classes(
    classes: tuple[str, ...],
    right_N: np.ndarray,
    chosen: Sequence[np.ndarray],
    runs: Runs,
    sure: set[str],
    num: int,
) -> _Found:
    confusion = Confusion.of(chosen, right_N, classes)
    rows_N, small = np.arange(len(right_N)), np.min_scalar_type(len(classes))
    said, surely_said, confidence, loss_N = [], [], [], np.zeros(len(right_N))
    for run, logits_NK in runs:
        top_N = logits_NK.argmax(axis=1)
        below_NK = logits_NK - logits_NK[rows_N, top_N][:, None]
        log_sum_N = np.log(np.exp(below_NK).sum(axis=1))
        loss_N += log_sum_N - below_NK[rows_N, right_N]
        said.append(top_N.astype(small))
        if run in sure:
            surely_said.append(said[-1])
            confidence.append(np.exp(-log_sum_N))
    if not said:
        return _Found(confusion=confusion)
    said_RN = np.stack(said)
    wrong_N = (said_RN != right_N).mean(axis=0)
    loss_N /= len(said)
    suspects = (
        _suspects(np.stack(surely_said), np.stack(confidence), right_N) if len(confidence) >= _FEWEST else {}
    )
    first = np.array([place not in suspects for place in range(len(right_N))])
    order = np.lexsort((-loss_N, -wrong_N, first))[:num]
    hardest = [
        Mistake(
            number=int(place),
            answer=classes[int(right_N[place])],
            said=classes[suspects.get(int(place), _mostly(said_RN[:, place], int(right_N[place])))],
            wrong=float(wrong_N[place]),
            off=None,
            loss=float(loss_N[place]),
            suspect=int(place) in suspects,
        )
        for place in order
        if wrong_N[place] > 0
    ]
    return _Found(confusion=confusion, hardest=hardest, num_suspects=len(suspects), num_runs=len(said))


def _mostly(said_R: np.ndarray, right: int) -> int:
    """The class that is said most often in the place of the right one."""
    counts = np.bincount(said_R[said_R != right], minlength=right + 1)
    return int(counts.argmax()) if counts.any() else right


def _suspects(said_RN: np.ndarray, confidence_RN: np.ndarray, right_N: np.ndarray) -> dict[int, int]:
    """Examples of which nearly all runs say the same other class, and are sure of it on average; with that class."""
    found = {}
    for place in np.flatnonzero((said_RN != right_N).mean(axis=0) >= _NEARLY_ALL):
        other = _mostly(said_RN[:, place], int(right_N[place]))
        say_so = said_RN[:, place] == other
        if say_so.mean() >= _NEARLY_ALL and confidence_RN[say_so, place].mean() >= _NEARLY_ALL:
            found[int(place)] = other
    return found


def _of_numbers(
    classes: tuple[str, ...],  # noqa: ARG001
    right_N: np.ndarray,
    chosen: Sequence[np.ndarray],
    runs: Runs,
    sure: set[str],  # noqa: ARG001
    num: int,
) -> _Found:
    deviations = Deviations.of(chosen, right_N)
    found = [np.asarray(values_N, dtype=np.float64).reshape(-1) for _, values_N in runs]
    if not found:
        return _Found(deviations=deviations)
    predicted_RN = np.stack(found)
    residuals_RN = predicted_RN - right_N
    off_N = np.median(np.abs(residuals_RN), axis=0)
    said_N = np.median(predicted_RN, axis=0)
    loss_N = np.square(residuals_RN).mean(axis=0)
    hardest = [
        Mistake(
            number=int(place),
            answer=_number(float(right_N[place])),
            said=_number(float(said_N[place])),
            wrong=None,
            off=float(off_N[place]),
            loss=float(loss_N[place]),
        )
        for place in np.lexsort((-loss_N, -off_N))[:num]
    ]
    return _Found(deviations=deviations, hardest=hardest, num_runs=len(predicted_RN))


_OF_TASK: Mapping[str, Callable[..., _Found]] = {"classification": _of_classes, "regression": _of_numbers}


def _placed(data: Dataset | None, split: Split, each: Mistake) -> Mistake:
    """With its place and its values, where the data are at hand."""
    if data is None:
        return each
    return replace(each, place=data.place(split, each.number), values=values_of(data, split, each.number))


def _number(value: float | None) -> str:
    return NOTHING if value is None or not math.isfinite(value) else f"{value:.4g}".replace("-", "−")


def _without(texts: tuple[str, ...], place: int) -> tuple[str, ...]:
    return (*texts[:place], *texts[place + 1 :])


def _shortly(each: Mistake) -> str:
    """Where an example of a table is, and its first values."""
    values = [f"{name} {value}" for name, value in each.values.items()]
    more = [f"{len(values) - _SHOWN:,} more"] if len(values) > _SHOWN else []
    return ": ".join(filter(None, [each.place, ", ".join([*values[:_SHOWN], *more])]))


def _are_numbers(texts: Iterable[str]) -> bool:
    try:
        for text in texts:
            float(text)
    except ValueError:
        return False
    return True
