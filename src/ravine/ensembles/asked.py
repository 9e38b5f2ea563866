"""What a study is judged by, asked of pools: its metric, where that is not what is usual for the task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ravine.ensembles.cells import Cells
from ravine.ensembles.pool import as_outputs
from ravine.ensembles.pooling import Pooled
from ravine.ensembles.scoring import heated
from ravine.grid import Grid
from ravine.metrics import Metric, parts_of, values_of
from ravine.outcomes.metric import as_weighted, metric_of
from ravine.outcomes.metric_table import shown
from ravine.outcomes.runs import plain
from ravine.outcomes.words import NOTHING, signed
from ravine.study.metric import is_default

if TYPE_CHECKING:
    from ravine.store import Labels

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What a pool reaches by the study's metric.

    Args:
        validation, test: its values.
        spread: standard deviation over folds of that on test; None of one split.
    """

    validation: float
    test: float
    spread: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A study's metric with the data that it is asked of.

    Args:
        metric: of the task, with weights where the data's count in scores.
        labels: the right answers.
    """

    metric: Metric
    labels: Labels

    @staticmethod
    def of(definition: str, labels: Labels, metric: Metric | None) -> Asked | None:
        """That of a study; None where it is judged by what is usual.

        Args:
            definition: the study's text, which names one.
            labels: the right answers.
            metric: another one that is asked for; None: the text's.
        """
        own = as_weighted(metric_of(definition, labels.task) if metric is None else metric, labels)
        return None if is_default(own, labels.task) else Asked(metric=own, labels=labels)

    def score(self, validation: Pooled, test: Pooled, temperature: float) -> tuple[Own, Array]:
        """What a pool reaches, and what each test example contributes to it, whose mean that is.

        Args:
            validation, test: what it predicts.
            temperature: that its probabilities have.
        """
        labels = self.labels
        on_validation, on_test = (self._outputs(each, temperature) for each in (validation, test))
        (value,) = values_of(
            [self.metric], labels.task, [on_validation], labels.validation, labels.weights_of("validation")
        )[self.metric.name]
        (parts,) = parts_of(self.metric, labels.task, [on_test], labels.test, labels.weights_of("test"))
        return Own(validation=float(value), test=float(parts.mean())), parts

    def _outputs(self, pooled: Pooled, temperature: float) -> Array:
        log_p = None if pooled.log_p is None else heated(pooled.log_p, temperature)
        return as_outputs(Cells.of(self.labels), pooled.predicted, log_p)


def own_json(own: Own) -> dict[str, Any]:
    """As ``--json`` has it."""
    return {name: plain(value) for name, value in asdict(own).items() if value is not None}


def is_better(score: str, difference: float, metric: Metric | None) -> bool:
    """Whether a difference is for the better: of shares above 0, of losses below.

    Args:
        score: its name.
        difference: of it.
        metric: the study's own, whose name it may be.
    """
    higher = score == "accuracy" or (metric is not None and score == metric.column and not metric.lower)
    return (difference > 0.0) == higher


def around(difference: float, half: float, score: str, metric: Metric | None) -> tuple[float, float]:
    """The interval of a difference; no two shares of the study's metric are further apart than 1."""
    low, high = difference - half, difference + half
    if metric is not None and score == metric.column and metric.percent:
        return max(low, -1.0), min(high, 1.0)
    return low, high


class Named(Protocol):
    """A kind of predictor."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def own(self) -> Own | None:
        """What it reaches by the study's metric."""
        ...


class Pair(Protocol):
    """The ensemble and another by one score, as `ravine.ensembles.judged.Compared` has them."""

    @property
    def second(self) -> str:
        """The other."""
        ...

    @property
    def score(self) -> str:
        """Its name."""
        ...

    @property
    def difference(self) -> float:
        """The ensemble's minus the other's."""
        ...

    @property
    def interval(self) -> tuple[float, float]:
        """Of the difference."""
        ...

    @property
    def outcome(self) -> str:
        """In words."""
        ...


def own_grid(metric: Metric, kinds: Sequence[Named], compared: Sequence[Pair]) -> Grid:
    """A row for each predictor with its values of the study's metric, the ensemble last, and its lead over each.

    Args:
        metric: the study's.
        kinds: all that were scored.
        compared: the ensemble against the others.
    """
    found = {each.second: each for each in compared if each.score == metric.column}
    rows = []
    for kind in kinds:
        assert kind.own is not None, "the study has a metric of its own"
        pair = found.get(kind.name)
        rows.append(
            (
                kind.name,
                shown(metric, kind.own.validation),
                shown(metric, kind.own.test, kind.own.spread),
                NOTHING if pair is None else amounts(metric, pair),
                NOTHING if pair is None else pair.outcome,
            )
        )
    unit = " in points" if metric.percent else ""
    better = "less" if metric.lower else "more"
    return Grid(
        before=(
            f"{metric.title[:1].upper()}{metric.title[1:]}, by which the study is judged ({better} is better), and the"
            f" ensemble's on test minus that of each{unit}:",
        ),
        columns=("", "val", "test", "from, to", "ensemble"),
        rows=tuple(rows),
        left=("", "ensemble"),
    )


def amounts(metric: Metric, pair: Pair, sign: str = "") -> str:
    """The interval of a difference; `sign`: "+" before what is above 0."""
    by, digits = (100.0, ".2f") if metric.percent else (1.0, ".3g")
    return " to ".join(signed(f"{by * end + 0.0:{sign}{digits}}") for end in pair.interval)


def own_sentence(metric: Metric, pair: Pair) -> str:
    """The ensemble against one of the others by the study's metric."""
    amount = f"{100 * pair.difference:+.2f} points of" if metric.percent else f"{pair.difference:+.3g} in"
    text = f"Against the {pair.second}: {amount} test {metric.title} ({amounts(metric, pair, '+')}), {pair.outcome}."
    return text.replace(" -", " \N{MINUS SIGN}")
