"""What runs get wrong, for people and programs: which classes they confuse, and which examples are hard for them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ravine.grid import Grid
from ravine.messages import count
from ravine.outcomes.by_label import ByLabel
from ravine.outcomes.confusion import Confusion, percents
from ravine.outcomes.deviations import Deviations, number_of
from ravine.outcomes.off_targets import OffTargets
from ravine.outcomes.runs import plain
from ravine.outcomes.trials import Split

NOT_AT_HAND = "The data are not at hand, so only the numbers of the examples are known."
FOLDS_NOT_AT_HAND = (
    "The data are not at hand, so which examples a fold tests is not known, nor which are the hardest."
)
SUSPECT = "?"
"""The mark of an example that is perhaps mislabelled."""
_SHOWN = 6  # values of a row, in a terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """An example that runs get wrong.

    Args:
        number: in its part of the data, from 0.
        answer: its class, or its value.
        said: what runs say most often in its place; of a regression the median of what they predict.
        wrong: share of the runs that are wrong, of labels the mean share that is; None in a regression.
        off: in a regression, the median of how far the runs are off, in the target's unit; else None.
        loss: mean over the runs: cross-entropy, or squared error, of several targets in units of their variance.
        target: of several targets, the one that the runs are furthest off with, as `answer`, `said` and `off` have it.
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
    target: str = ""
    suspect: bool = False
    place: str = ""
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def short_place(self) -> str:
        """The place without the folders above: a page is for showing, and need not say where its author's files are.

        Example:
            >>> place = "/home/me/photos/cat/7.png"
            >>> Mistake(number=3, answer="cat", said="dog", wrong=1.0, off=None, loss=2.0, place=place).short_place
            'cat/7.png'
        """
        return "/".join(re.split(r"[/\\]", self.place)[-2:])


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
        confusion: of classes.
        labels: of labels, of which an example may have any.
        deviations: of a regression with one target.
        targets: of a regression with several.
        examples: the hardest first; before them those that are perhaps mislabelled.
        num_suspects: how many of all examples these are.
        whole: whether places and values of the examples are known.
        about: whose answers they are, where a study has folds; else "".
    """

    study: str
    noun: str
    rule: str
    hypers: str
    split: Split
    num_runs: int
    confusion: Confusion | None
    labels: ByLabel | None
    deviations: Deviations | None
    targets: OffTargets | None
    examples: tuple[Mistake, ...]
    num_suspects: int
    whole: bool
    about: str = ""

    @property
    def found(self) -> Confusion | ByLabel | Deviations | OffTargets:
        """That of `confusion`, `labels`, `deviations` and `targets` which its task has."""
        known = self.confusion or self.labels or self.deviations or self.targets
        assert known is not None, "a task has one of them"
        return known

    @property
    def of_numbers(self) -> bool:
        """Whether what is predicted are numbers."""
        return self.deviations is not None or self.targets is not None

    @property
    def sentences(self) -> tuple[str, ...]:
        """How much is wrong, and what is suspected."""
        runs = count(self.found.num_runs, "run")
        whose = self.about or f"{runs} of {self.rule} ({self.hypers}), {self.split}"
        first = f"{whose}: {self.found.summary}."
        unknown = [FOLDS_NOT_AT_HAND] if self.about and not self.whole else []
        return (first, *([self.suspicion] if self.suspicion else []), *unknown)

    @property
    def suspicion(self) -> str:
        """What is said of examples that are perhaps mislabelled; empty where there are none."""
        if not self.num_suspects:
            return ""
        one = self.num_suspects == 1
        return (
            f"{count(self.num_suspects, 'example')} {'is' if one else 'are'} perhaps mislabelled: nearly all runs of "
            f"the chosen configs are sure of {'the same other class' if self.confusion else 'another label'}. Look at "
            f"{'it' if one else 'them'} before you trust {'its label' if one else 'their labels'}: a hard example that"
            " is labelled rightly looks the same."
        )

    def grids(self) -> list[Grid]:
        """For a terminal: the matrix and its classes, or the tenths; then the hardest examples."""
        shown = self.num_runs and (self.whole or not self.about)  # no runs: none were asked for
        examples = [self.example_grid()] if shown else []
        return [Grid(title=self.study, before=self.sentences), *self.found.grids(), *examples]

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

    def example_table(
        self, most: int, mark: str = SUSPECT
    ) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
        """The hardest examples as titles and rows of texts.

        Args:
            most: columns of the data that are shown, at most.
            mark: of an example that is perhaps mislabelled.
        """
        names = self._names(most)
        places = any(each.place for each in self.examples)
        titles = (
            (
                "example",
                *(["furthest off"] if self.targets else []),
                "answer",
                "predicted",
                "off by",
                "mean loss",
            )
            if self.of_numbers
            else ("example", "answer", "taken for", "wrong", "mean loss", "")
        )
        rows = tuple(
            (
                f"{each.number:,}",
                *([each.target] if self.targets else []),
                each.answer,
                each.said,
                percents(each.wrong) if each.wrong is not None else number_of(each.off),
                f"{each.loss:.3g}",
                *([] if self.of_numbers else [mark if each.suspect else ""]),
                *([each.short_place] if places else []),
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
        return ("taken for", "", "place", "furthest off", *names, *([] if self.of_numbers else ["answer"]))

    def _names(self, most: int) -> tuple[str, ...]:
        return tuple(self.examples[0].values)[:most] if self.examples else ()

    def json(self) -> dict[str, Any]:
        """As JSON has it."""
        kinds = {
            "confusion": self.confusion,
            "labels": self.labels,
            "deviations": self.deviations,
            "targets": self.targets,
        }
        kind = {name: each.json() for name, each in kinds.items() if each is not None}
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
                    **({"target": each.target} if each.target else {}),
                    "answer": each.answer,
                    "said": each.said,
                    **({} if each.wrong is None else {"wrong": plain(each.wrong)}),
                    **({} if each.off is None else {"off": plain(each.off)}),
                    "loss": plain(each.loss),
                    **({} if self.of_numbers else {"perhaps_mislabelled": each.suspect}),
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


def _without(texts: tuple[str, ...], place: int) -> tuple[str, ...]:
    return (*texts[:place], *texts[place + 1 :])


def _shortly(each: Mistake) -> str:
    """Where an example of a table is, and its first values."""
    values = [f"{name} {value}" for name, value in each.values.items()]
    more = [f"{len(values) - _SHOWN:,} more"] if len(values) > _SHOWN else []
    return ": ".join(filter(None, [each.short_place, ", ".join([*values[:_SHOWN], *more])]))


def _are_numbers(texts: Iterable[str]) -> bool:
    try:
        for text in texts:
            float(text)
    except ValueError:
        return False
    return True
