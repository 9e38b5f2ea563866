"""A metric of the user's own: a function of predictions and answers, and the influence of examples on what it returns.

A function that returns a number for each example is a mean. Of one that returns one number the influence is found by
leaving out a group of examples at a time (the grouped jackknife): with g groups of n / g examples each,

    influence of group G = (1 - share) / share * (value of all - value without G),   share = (n / g) / n

Its examples get that influence times the root of their number, so that their squares sum to what the variance over
groups says. Up to 50 examples are left out one by one, and the influence is then each example's own.

Source: M. H. Quenouille, 1949; J. W. Tukey, 1958.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ravine.errors import InputError, in_a_line, raised_at
from ravine.messages import shown
from ravine.metrics.arrays import Array
from ravine.metrics.given import Classes, Given, Marks
from ravine.metrics.means import mean_over, per
from ravine.metrics.metric import Formula, Metric
from ravine.metrics.registry import is_taken, lower_named

Function = Callable[..., Any]

NUM_GROUPS = 50


def own_metric(name: str, function: Function, *, lower: bool) -> Metric:
    """A metric from a function.

    Args:
        name: as a study says it: "package.module:name", or the name of a function of a program.
        function: of predictions, probabilities (N, K) or values (N,), and answers (N,); returns a number, or one for
            each example. If it has a parameter `weights`, it gets those of the examples there, (N,) with mean 1.
        lower: lower is better.

    Raises:
        InputError: when it is used: it raises an exception, changes what it is given, or returns anything else, NaN
            among it.
    """
    own = _Own(name=name, function=function, takes_weights=_takes_weights(function))
    formula = Formula(
        value=lambda given: np.array([own.value(*each, given.weights) for each in _pairs(given)]),
        parts=lambda given: np.stack([own.parts(*each, given.weights) for each in _pairs(given)]),
    )
    tasks = ("classification", "multilabel", "regression")
    title = title_of(name, lower=lower)
    column = title.replace(" ", "_")
    if lower_named(column) != lower:
        column += "_loss" if lower else "_score"
    return Metric(
        name=column if is_taken(name) else name,
        title=title,
        short=title,
        formulas=dict.fromkeys(tasks, formula),
        lower=lower,
        own=True,
        called=column,
    )


def title_of(name: str, *, lower: bool) -> str:
    """What a function is called in sentences: by its own name, without that of its module.

    Args:
        name: as a study says it.
        lower: lower is better, of a function without a name.

    Example:
        >>> title_of("my_metrics:cost", lower=True), title_of("mine:f1", lower=False), title_of("<lambda>", lower=True)
        ('cost', 'own f1', 'own loss')
    """
    own = name.rpartition(":")[2].rpartition(".")[2]
    own = ("loss" if lower else "score") if own == "<lambda>" else own
    return f"own {own}" if is_taken(own) else own


def _pairs(given: Given) -> Sequence[tuple[np.ndarray, np.ndarray]]:
    """Of each run what the function gets."""
    if isinstance(given, Classes):
        return [(np.exp(given.log_p[:, r]).T, given.answers) for r in range(given.shape[0])]
    if isinstance(given, Marks):
        p_KRN = np.exp(-np.logaddexp(0.0, -given.logits))
        return [(p_KRN[:, r].T, given.answers_KN.T.astype(np.int64)) for r in range(given.shape[0])]
    answers = given.answers_TN.T
    answers = answers[:, 0] if answers.shape[1] == 1 else answers
    return [(np.asarray(each, dtype=np.float64).reshape(answers.shape), answers) for each in given.outputs]


def groups_of(num: int) -> list[np.ndarray]:
    """Numbers of examples in up to 50 groups of about the same size, mixed by a fixed rule.

    Example:
        >>> [len(group) for group in groups_of(120)[:3]], len(groups_of(7))
        ([3, 3, 3], 7)
    """
    order = np.random.default_rng(0).permutation(num)
    return np.array_split(order, min(NUM_GROUPS, num))


def _takes_weights(function: Function) -> bool:
    try:
        return "weights" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # of a builtin nothing is known
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Own:
    """A user's function.

    Args:
        name: of it.
        function: it.
        takes_weights: it has a parameter `weights`.
    """

    name: str
    function: Function
    takes_weights: bool

    def value(self, predicted: np.ndarray, answers: np.ndarray, weights_N: Array | None) -> float:
        """The metric of a run."""
        found = self._call(predicted, answers, weights_N)
        return float(mean_over(found, weights_N)) if found.ndim else float(found)

    def parts(self, predicted: np.ndarray, answers: np.ndarray, weights_N: Array | None) -> Array:
        """What each example contributes, as in `Formula`: with weights w_i the part of the jackknife is over w_i."""
        whole = self._call(predicted, answers, weights_N)
        if whole.ndim:
            return whole
        num = len(answers)
        w_N = np.ones(num) if weights_N is None else weights_N
        some = np.flatnonzero(w_N > 0.0)
        influence = np.zeros(num)
        for group in groups_of(len(some)):
            rows, kept = some[group], np.ones(num, dtype=bool)
            kept[rows] = False
            without = float(
                self._call(predicted[kept], answers[kept], None if weights_N is None else w_N[kept])
            )
            rest = float(w_N[kept].sum())
            influence[rows] = rest * (float(whole) - without) / math.sqrt(len(group))
        influence[some] -= influence[some].mean()
        return float(whole) + per(influence, w_N)

    def _call(self, predicted: np.ndarray, answers: np.ndarray, weights_N: Array | None) -> Array:
        """What the function returns: a number, or one for each example."""
        where = f"metric = {shown(self.name)}"
        given = predicted.copy(), answers.copy()
        try:
            if self.takes_weights:
                w_N = np.ones(len(answers)) if weights_N is None else weights_N.copy()
                found = np.array(self.function(*given, weights=w_N))
            else:
                found = np.array(self.function(*given))
        except (Exception, SystemExit) as error:
            raise InputError(f"{where}: failed: {in_a_line(error)}{raised_at(error)}") from error
        for each, before, what in zip(given, (predicted, answers), ("predictions", "answers"), strict=True):
            if not np.array_equal(each, before, equal_nan=True):
                raise InputError(
                    f"{where}: changed the {what} that it was given; must copy what it writes to"
                )
        if found.dtype.kind not in "biuf" or found.shape not in ((), (len(answers),)):
            kind = f"an array of shape {found.shape}" if found.shape else shown(found.item())
            raise InputError(f"{where}: returned {kind}; must return a number, or one for each example")
        if not found.ndim and weights_N is not None and not self.takes_weights:
            raise InputError(
                f"{where}: returned one number, and data.weight_scores = true: must return one for each example, or "
                "have a parameter weights"
            )
        numbers: Array = found.astype(np.float64)
        wrong = numbers[~np.isfinite(numbers)]
        if (
            len(wrong) and np.isfinite(predicted).all()
        ):  # a run whose outputs are not finite has no metric anyway
            raise InputError(
                f"{where}: returned {wrong[0]:g} for predictions that are all finite; must return a finite number "
                "there, also where no example is positive, or predicted as such"
            )
        return numbers
