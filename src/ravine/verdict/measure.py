"""What the scores of a verdict measure, and how people say it.

A score is a number per test example, higher is better, of which a run's result is the mean: 1 or 0 for a right or wrong
class, minus a squared error. Results from elsewhere may be a single number for each run instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ravine.errors import InputError, choices
from ravine.metrics import Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What scores measure.

    Args:
        name: in a sentence, such as "accuracy" or "mean squared error".
        gap: what follows the word "difference", such as " in squared error"; of percentages it is in points.
        percent: it lies from 0 to 1 and is shown in per cent, and a difference in percentage points.
        binary: an example's score is 1 or 0.
        loss: lower is better: people know minus the score.
        root: its square root is known by this name; empty: no such name.
        short: its name over a column; empty for an accuracy, which goes without saying.
        best: no score is higher; None: there is no such number.
        heaviest: of a share that is no mean of right and wrong: as how many examples one counts at most; None: unknown.
        metric: the metric's name in a study; empty where it is not one.
        by_example: there is a score for each test example; False: one number for each run, so that nothing is known of
            how it would have been on other examples.
    """

    name: str
    gap: str = ""
    percent: bool = False
    binary: bool = False
    loss: bool = False
    root: str = ""
    short: str = ""
    best: float | None = None
    heaviest: float | None = None
    metric: str = ""
    by_example: bool = True

    @property
    def most(self) -> float:
        """No two results are further apart."""
        return 1.0 if self.percent else math.inf

    @property
    def titled(self) -> str:
        """What an axis is called: `accuracy (%)`."""
        return f"{self.name} (%)" if self.percent else self.name

    @property
    def unit(self) -> str:
        """What follows a difference."""
        return " points" if self.percent else ""

    def digits(self, ci: tuple[float, float] | None) -> int:
        """Decimals of a percentage, or significant digits of a number, for an interval of this width."""
        if not self.percent:
            return 3
        return 2 if ci is not None and ci[1] - ci[0] < 0.005 else 1

    def readable(self, score: float) -> float:
        """A score as people know it: a loss without its minus."""
        return 0.0 - score if self.loss else score

    def shown(self, score: float, digits: int) -> str:
        """A score: `97.2 %`, or a mean squared error `0.312`."""
        if self.percent:
            return f"{100 * self.readable(score):.{digits}f} %"
        return _minus(f"{self.readable(score):.{digits}g}")

    def difference(self, value: float, digits: int) -> str:
        """A difference of scores without its unit: `0.3` percentage points, or of mean squared errors."""
        return _minus(f"{100 * value:.{digits}f}" if self.percent else f"{value:.{digits}g}")

    def interval(self, ci: tuple[float, float], digits: int) -> str:
        """`96.1 to 98.0`, smaller number first."""
        low, high = sorted(self.readable(end) for end in ci)
        return f"{self.difference(low, digits)} to {self.difference(high, digits)}"


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}") if float(text) != 0.0 else text.removeprefix("-")


ACCURACY = Measure(name="accuracy", percent=True, binary=True, best=1.0, metric="accuracy")
SQUARED_ERROR = Measure(
    name="mean squared error", gap=" in squared error", loss=True, root="RMSE", short="MSE", metric="mse"
)
RIGHT_LABELS = Measure(name="label accuracy", percent=True)
STANDARD_ERROR = Measure(
    name="mean squared error in units of variance", gap=" in squared error", loss=True, short="MSE"
)
_OF_TASK = {"classification": ACCURACY, "regression": SQUARED_ERROR, "multilabel": RIGHT_LABELS}


def measure_of(task: str, *, several: bool = False) -> Measure:
    """What the runs of a task are judged by.

    Args:
        task: "classification", "regression" or "multilabel".
        several: a regression has several targets.

    Raises:
        InputError: there is no such task.

    Example:
        >>> measure_of("regression").name
        'mean squared error'
    """
    if task not in _OF_TASK:
        raise InputError(f"task: {task!r} is unknown; {choices(task, tuple(_OF_TASK))}")
    return STANDARD_ERROR if several and task == "regression" else _OF_TASK[task]


def measure_by(metric: Metric, heaviest: float = 1.0) -> Measure:
    """What runs are judged by that a metric is asked of.

    Args:
        metric: any.
        heaviest: what one example weighs in it at most, see `ravine.metrics.Formula`.

    Example:
        >>> from ravine.metrics import metric_named
        >>> measure_by(metric_named("f1_macro")).name, measure_by(metric_named("accuracy")) is ACCURACY
        ('macro F1', True)
    """
    for each in (ACCURACY, SQUARED_ERROR):
        if each.metric == metric.name:
            return each
    return Measure(
        name=metric.title,
        gap="" if metric.percent else f" in {metric.title}",
        percent=metric.percent,
        binary=metric.binary,
        loss=metric.lower,
        short=metric.short,
        best=None if metric.best is None else 0.0 - metric.best if metric.lower else metric.best,
        heaviest=heaviest if metric.percent and not metric.binary else None,
        metric=metric.column,
    )
