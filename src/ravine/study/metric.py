"""What a study's runs are judged by: ``metric`` names a metric, or a function of the user's."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from ravine.errors import InputError, StudyError
from ravine.messages import unknown, wrong
from ravine.metrics import (
    DEFAULT,
    Metric,
    check_answers,
    check_task,
    metric_named,
    own_metric,
    title_of,
    values_of,
)
from ravine.nn.provenance import check_may_compute
from ravine.nn.target import describe_factory, find_named, folders_of

_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_BETTER = ("higher", "lower")
_LESS_IS_BETTER = frozenset(
    ("cost", "costs", "error", "errors", "loss", "losses", "penalty", "regret", "risk")
)
_EXAMPLE = 'must be a name such as "f1_macro", or of a function "package.module:name"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The metric that configs are chosen by and that the verdict is about.

    Args:
        name: of a metric, or ``"package.module:name"``, or of a function of a Python program.
        function: the function, where it is an object of a Python program.
        lower: lower is better, of a function; a metric by name knows it.
    """

    name: str
    function: Callable[..., Any] | None = None
    lower: bool = False

    @property
    def is_object(self) -> bool:
        """It is a function of a Python program, which a text can only describe."""
        return self.function is not None

    @property
    def is_code(self) -> bool:
        """It names code of the user's."""
        return self.function is None and ":" in self.name

    @property
    def title(self) -> str:
        """What it is called in a sentence of few words: a function by its own name, another metric by its key."""
        return title_of(self.name, lower=self.lower) if self.is_code or self.is_object else self.name

    def content(self) -> Any:
        """Plain data, as a study file has it."""
        return {"function": self.name, "better": "lower"} if self.lower else self.name

    def metric(self, search: Path | None = None) -> Metric:
        """The metric; a function of the user's is imported for it.

        Args:
            search: the folder of the study file.

        Raises:
            InputError: there is no such function, or it may not run.
        """
        if self.function is not None:
            return own_metric(self.name, self.function, lower=self.lower)
        if not self.is_code:
            return metric_named(self.name)
        found = find_named(self.name, search, "metric")
        check_may_compute(f"metric = {self.name!r}", found, folders_of(search))
        return own_metric(self.name, found, lower=self.lower)


MetricLike: TypeAlias = str | Callable[..., Any] | Mapping[str, Any] | Judged


def parse_metric(value: object) -> Judged | None:
    """What a study is judged by; None where it does not say, so that its task does.

    Args:
        value: the name of a metric, a function or its name ``"package.module:name"``, or a table
            ``{"function": ..., "better": "lower"}``, also as the text of such a table in TOML, for a command line.

    Raises:
        StudyError: one line with the key, the value and what is allowed, or a function by whose name lower may be
            better, and that does not say.

    Example:
        >>> parse_metric("f1_macro").metric().title
        'macro F1'
    """
    if value is None or isinstance(value, Judged):
        return value
    if isinstance(value, str) and value.startswith("{"):
        value = _table(value)
    if isinstance(value, Mapping):
        for key in value:
            if key not in ("function", "better"):
                raise unknown("metric", key, ("function", "better"))
        if value.get("better", "higher") not in _BETTER:
            raise wrong("metric.better", value["better"], 'must be "higher" or "lower"')
        function = value.get("function")
        if not callable(function) and not (isinstance(function, str) and ":" in function):
            raise wrong("metric.function", function, 'must be the name of a function, "package.module:name"')
        return _judged(function, lower=value.get("better") == "lower")
    judged = _judged(value, lower=False)
    if (judged.is_code or judged.is_object) and _LESS_IS_BETTER & set(judged.title.lower().split("_")):
        table = f'{{ function = "{judged.name}", better = "lower" }}'
        raise wrong(
            "metric", judged.name, f'must say whether lower or higher is better: {table}, or "higher"'
        )
    return judged


def _table(text: str) -> Mapping[str, Any]:
    try:
        found = tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        found = None
    if not isinstance(found, Mapping):
        raise wrong("metric", text, 'must be a table such as { function = "module:name", better = "lower" }')
    return found


def _judged(value: object, *, lower: bool) -> Judged:
    if isinstance(value, str):
        if _TARGET.fullmatch(value):
            return Judged(name=value, lower=lower)
        try:
            metric_named(value)
        except InputError as error:
            raise StudyError(str(error), at=[("metric",)], what="wrong") from None
        return Judged(name=value)
    if not callable(value):
        raise wrong("metric", value, _EXAMPLE)
    return Judged(name=str(getattr(value, "__name__", type(value).__name__)), function=value, lower=lower)


def judged_by_content(content: Mapping[str, Any]) -> Judged | None:
    """What a study's content says that it is judged by, or what its loss asks for; no code of the user's is run."""
    judged = parse_metric(content.get("metric"))
    variants = content.get("variants")
    varies = isinstance(variants, list) and any(
        isinstance(each, Mapping) and "loss" in each for each in variants
    )
    return judged_by_loss(content.get("loss")) if judged is None and not varies else judged


def judged_by_loss(loss: object) -> Judged | None:
    """What a loss is judged by: a quantile by the loss whose least it is; None of any other, and of several levels.

    Args:
        loss: as a study file has it.

    Example:
        >>> judged_by_loss({"kind": "quantile", "q": 0.9}).name, judged_by_loss("mae")
        ('pinball_0.9', None)
    """
    if not isinstance(loss, Mapping) or loss.get("kind") != "quantile":
        return None
    q = loss.get("q")
    if isinstance(q, bool) or not isinstance(q, int | float) or round(float(q), 6) != q or not 0.0 < q < 1.0:
        return None
    return Judged(name=f"pinball_{q:.6f}".rstrip("0"))


def described(judged: Judged) -> str:
    """A function of a Python program, for people: where it is from, and a hash of its source."""
    assert judged.function is not None, "it is an object"
    return describe_factory(judged.function)


def check_metric(
    metric: Metric,
    task: str,
    classes: Sequence[str],
    answers: Mapping[str, np.ndarray],
    fold: str = "",
    weights: Mapping[str, np.ndarray | None] = MappingProxyType({}),
) -> None:
    """See that a metric is one of a task, and has a value for the answers of a data set, before anything is trained.

    A function of the user's is called with random predictions.

    Args:
        metric: any.
        task: of the data.
        classes: their names.
        answers: of the parts that are scored, by the part's name; a part without examples is not.
        fold: what the fold is called that they are of; empty where there are none.
        weights: of the examples of these parts, where the metric has them.

    Raises:
        StudyError: it is of another task or number of classes, or a part lacks what it needs.
    """
    try:
        check_task(metric, task, len(classes))
        for part, of_part in answers.items():
            if len(of_part):
                of_examples = weights.get(part)
                check_answers(metric, task, of_part, classes, part, fold, of_examples)
                if metric.own:
                    values_of([metric], task, [_random(task, of_part, len(classes))], of_part, of_examples)
    except InputError as error:
        raise StudyError(str(error), at=[("metric",)], what="wrong") from None


def _random(task: str, answers: np.ndarray, num_classes: int) -> np.ndarray:
    """Predictions of a run that has learned nothing."""
    shape = (len(answers), num_classes) if task == "classification" else np.shape(answers)
    return np.random.default_rng(0).normal(size=shape)


def is_default(metric: Metric, task: str) -> bool:
    """Whether it is what runs of a task are judged by anyway."""
    return DEFAULT[task] == metric.name
