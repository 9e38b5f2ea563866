"""The loss of a study: a kind with its numbers, weights of classes, or a function of the user's."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from ravine.errors import ModelError, StudyError, choices, with_article
from ravine.messages import as_float, lacking, shown, unknown, wrong
from ravine.nn.provenance import check_may_compute
from ravine.nn.target import find_named, folders_of
from ravine.rules import Hyper
from ravine.rules.identity import identity
from ravine.study.values import Values, parse_values, plain

CROSS_ENTROPY, MSE, BCE, OWN = "cross_entropy", "mse", "bce", "own"
DEFAULTS: Mapping[str, str] = {"classification": CROSS_ENTROPY, "regression": MSE, "multilabel": BCE}
"""The kind of each task, where a study says nothing."""
BEGIN = "loss."
"""How the hypers of a recipe begin that are numbers of its loss."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ANY = Hyper(about="a number of the loss", low=-np.inf)
_EXAMPLE = (
    'must be a kind, a table such as { kind = "focal", gamma = 2 }, "package.module:name", or a function'
)

ClassWeights: TypeAlias = Literal["balanced"] | tuple[float, ...] | Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a kind of loss is for, and what it takes.

    Args:
        task: of the data that have it, or several.
        numbers: by name.
    """

    task: tuple[str, ...]
    numbers: Mapping[str, Hyper] = field(default_factory=dict)


KINDS: Mapping[str, Kind] = {
    CROSS_ENTROPY: Kind(task=("classification",)),
    "focal": Kind(
        task=("classification", "multilabel"),
        numbers={
            "gamma": Hyper(about="how little examples count that are known well", default=2.0, high=100.0)
        },
    ),
    BCE: Kind(task=("multilabel",)),
    MSE: Kind(task=("regression",)),
    "mae": Kind(task=("regression",)),
    "huber": Kind(
        task=("regression",),
        numbers={"delta": Hyper(about="the error from which on the loss is linear", low_open=True, log=True)},
    ),
    "quantile": Kind(
        task=("regression",),
        numbers={"q": Hyper(about="the share of answers below", low_open=True, high=1.0, high_open=True)},
    ),
    "poisson": Kind(task=("regression",)),
}
NUMBERS: Mapping[str, tuple[str, ...]] = {name: tuple(kind.numbers) for name, kind in KINDS.items()}
"""The numbers of each kind, by name."""

OwnFunction = Callable[..., Any]
_OWN: dict[str, OwnFunction] = {}  # those of this process, by what they are


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSpec:
    """The loss of a study.

    Args:
        kind: out of `KINDS`, or "own".
        numbers: the values of each of its numbers, by name.
        class_weights: "balanced", a weight for each class in their order, or by name; None: all classes weigh the same.
        target: of the user's own, ``"package.module:name"`` if the study names it so; None: it does not.
        source: of the user's own: its name and a hash of what it computes.
    """

    kind: str
    numbers: Mapping[str, Values] = field(default_factory=dict)
    class_weights: ClassWeights | None = None
    target: str | None = None
    source: str = ""

    @property
    def factors(self) -> dict[str, Values]:
        """The values of its numbers, by the names that they have in a recipe."""
        return {f"{BEGIN}{name}": values for name, values in self.numbers.items()}

    @property
    def name(self) -> str:
        """What people call it: the kind, or the function."""
        return self.source.partition("@")[0].rpartition(":")[2] if self.kind == OWN else self.kind

    @property
    def is_object(self) -> bool:
        """Whether it is an object of a Python program, which text cannot represent."""
        return self.kind == OWN and self.target is None

    def content(self) -> Any:
        """As a study says it: its kind, or a table."""
        table: dict[str, Any] = {name: plain(values) for name, values in self.numbers.items()}
        if self.class_weights is not None:
            given = self.class_weights
            table["class_weights"] = (
                given
                if isinstance(given, str)
                else dict(given)
                if isinstance(given, Mapping)
                else list(given)
            )
        kind = self.target or self.kind
        return {"kind": kind, **table} if table else kind

    def of_recipe(self, task: str, classes: Sequence[str]) -> dict[str, Any] | None:
        """What a recipe says of it beside its numbers, which are hypers; None: it is the default of the task.

        Args:
            task: of the data.
            classes: their names, in order.
        """
        found: dict[str, Any] = {"kind": self.kind}
        if self.kind == OWN:
            found |= {"source": self.source, "numbers": sorted(self.numbers)}
        if self.class_weights is not None:
            given = self.class_weights
            if isinstance(given, Mapping):
                given = tuple(float(given.get(name, 1.0)) for name in classes)
            found["class_weights"] = given if isinstance(given, str) else list(given)
        return None if found == {"kind": DEFAULTS[task]} else found

    def check(self, task: str, classes: Sequence[str], name: str) -> None:
        """See that data have such a loss.

        Args:
            task: of the data.
            classes: their names, in order.
            name: of the data.

        Raises:
            StudyError: they have another task, or other classes.
        """
        if self.kind != OWN and task not in KINDS[self.kind].task:
            fitting = [kind for kind, each in KINDS.items() if task in each.task]
            words = f"{name} is {_TASKS[task]}; allowed there: {', '.join(fitting)}, or a function"
            if self.kind == BCE and task == "classification":
                words = (
                    f"{name} has classes, of which one is right; say 'cross_entropy', which of two classes is the same "
                    "loss"
                )
            raise wrong("loss", self.kind, words)
        given = self.class_weights
        if given is None:
            return
        if task != "classification":
            raise lacking(
                "loss.class_weights", f"{name} is {_TASKS[task]}, which has no classes; leave them out"
            )
        if isinstance(given, Mapping):
            for each in given:
                if each not in classes:
                    raise wrong(
                        f"loss.class_weights.{each}", given[each], f"no such class; {choices(each, classes)}"
                    )
            given = tuple(given.get(each, 1.0) for each in classes)
        if given == "balanced":
            return
        if len(given) != len(classes):
            raise wrong(
                "loss.class_weights",
                list(given),
                f"{len(given)} weights for the {len(classes)} classes of {name}; one for each is needed",
            )
        if not any(given):
            raise wrong("loss.class_weights", list(given), "must not all be 0")


LossLike: TypeAlias = str | Mapping[str, Any] | LossSpec | OwnFunction
_TASKS = {
    "classification": "a classification",
    "regression": "a regression",
    "multilabel": "a task of several labels",
}


def parse_loss(value: object, where: str = "loss", search: Path | None = None) -> LossSpec | None:
    """The loss of a study; None: the default of its data's task.

    Args:
        value: a kind, a table with ``kind``, ``"package.module:name"``, or in Python a function.
        where: its key, for errors.
        search: folder of the study file, where a module is looked for first.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> parse_loss({"kind": "focal", "gamma": [0, 1, 2]}).factors
        {'loss.gamma': (0.0, 1.0, 2.0)}
        >>> parse_loss({"kind": "cross_entropy", "class_weights": [1, 5]}).class_weights
        (1.0, 5.0)
    """
    if value is None or isinstance(value, LossSpec):
        return value
    table = value if isinstance(value, Mapping) else {"kind": value}
    if "kind" not in table:
        raise lacking(f"{where}.kind", f"missing, it must be given; {choices('', KINDS)}")
    kind, at = table["kind"], where if table is not value else f"{where}.kind"
    weights = _class_weights(table.get("class_weights"), f"{where}.class_weights")
    rest = {str(key): item for key, item in table.items() if key not in ("kind", "class_weights")}
    if isinstance(kind, str) and ":" not in kind:
        if kind not in KINDS:
            raise wrong(
                at, kind, f'no such loss; {choices(kind, KINDS)}, or "package.module:name" of a function'
            )
        return LossSpec(kind=kind, numbers=_numbers(kind, rest, where), class_weights=weights)
    target = kind if isinstance(kind, str) else None
    function = own_named(target, at, search) if target is not None else kind
    if not callable(function):
        raise wrong(at, kind, _EXAMPLE)
    source = _source(function, at)
    _OWN[source] = function
    given = {name: parse_values(item, f"{where}.{name}", _ANY) for name, item in rest.items()}
    _check_signature(function, source, given, where)
    return LossSpec(kind=OWN, numbers=given, class_weights=weights, target=target, source=source)


def check_smoothing(loss: LossSpec | None, smoothing: Values) -> None:
    """See that answers are smoothed in the cross-entropy alone.

    Raises:
        StudyError: they are smoothed in another loss.
    """
    if loss is not None and loss.kind != CROSS_ENTROPY and smoothing not in (0.0, (0.0,)):
        words = f"belongs to the loss cross_entropy, not to {loss.name}; leave it out"
        raise wrong("label_smoothing", plain(smoothing), words)


def find_own(source: str) -> OwnFunction:
    """The function of the user's that a recipe names.

    Raises:
        StudyError: no study of this process has it.
    """
    if source not in _OWN:
        raise StudyError(
            f"loss {source.partition('@')[0]!r} is not one of ravine's: give the study that has it, or import its "
            "module and call ravine.Study with it"
        )
    return _OWN[source]


def is_own(content: Mapping[str, Any] | None) -> bool:
    """Whether the loss of a recipe is a function of the user's."""
    return content is not None and content["kind"] == OWN


def is_poisson(content: Mapping[str, Any] | None) -> bool:
    """Whether the loss of a recipe is of counts, whose rate's logarithm is the output."""
    return content is not None and content["kind"] == "poisson"


def has_target(value: object) -> bool:
    """Whether a loss is given as ``"package.module:name"``, alone or in a table."""
    kind = value.get("kind") if isinstance(value, Mapping) else value
    return isinstance(kind, str) and ":" in kind


def own_named(target: str, where: str, search: Path | None) -> OwnFunction:
    """A function of the user's, by its name.

    Args:
        target: ``"package.module:name"``.
        where: the key that names it, for errors.
        search: the study's folder, looked at first; then the working directory.

    Raises:
        StudyError: there is none, or it is not one that a study may call.
    """
    try:
        found: OwnFunction = find_named(target, search, where)
        if not callable(found):
            raise ModelError(
                f"{where} = {shown(target)} is {with_article(type(found).__name__)}, not a function"
            )
        check_may_compute(f"{where} = {shown(target)}", found, folders_of(search))
    except ModelError as error:
        raise StudyError(str(error), at=[tuple(where.split("."))]) from error
    return found


def _numbers(kind: str, given: Mapping[str, Any], where: str) -> dict[str, Values]:
    known = KINDS[kind].numbers
    for key in given:
        if key not in known:
            raise unknown(where, key, ("kind", "class_weights", *known))
    found: dict[str, Values] = {}
    for name, hyper in known.items():
        if name in given:
            found[name] = parse_values(given[name], f"{where}.{name}", hyper)
        elif hyper.default is None:
            raise lacking(
                f"{where}.{name}", f"missing, it must be given for {kind}: {hyper.about}, {hyper.allowed}"
            )
        else:
            found[name] = hyper.default
    return found


def _class_weights(value: object, where: str) -> ClassWeights | None:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if value is None or value == "balanced":
        return value
    if isinstance(value, Mapping):
        return {str(name): _weight(item, f"{where}.{name}") for name, item in value.items()}
    if isinstance(value, list | tuple) and any(
        item is None or isinstance(item, str | Mapping) for item in value
    ):
        words = "a list has a number for each class; to compare several, write variants with a loss each"
        raise wrong(where, value, words)
    if isinstance(value, list | tuple) and value:
        return tuple(_weight(item, f"{where}.{i}") for i, item in enumerate(value))
    raise wrong(where, value, 'must be "balanced", a list with a weight for each class, or a table by class')


def _weight(value: object, where: str) -> float:
    number = as_float(value)
    if number is None or not 0.0 <= number <= float(np.finfo(np.float32).max):
        raise wrong(where, value, "must be a finite number of at least 0")
    return number


def _source(function: OwnFunction, where: str) -> str:
    """What a function is, as a recipe has it: its name and a hash of what it computes."""
    named = function
    while hasattr(named, "func"):  # of a partial
        named = named.func
    name = getattr(named, "__qualname__", type(named).__qualname__)
    module = getattr(named, "__module__", "")
    try:
        digest = identity(name, {"loss": function}, None, "loss", "")
    except StudyError as error:
        raise StudyError(f"{where}: {error}", at=[tuple(where.split("."))]) from error
    return f"{module}:{name}@{digest}"


def _check_signature(function: OwnFunction, source: str, given: Mapping[str, Values], where: str) -> None:
    """See that a function takes outputs, answers, and the numbers that are given by name."""
    name = source.partition("@")[0].rpartition(":")[2]
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):  # written in C
        parameters = []
    several = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters)
    known = [each.name for each in parameters[2:]]
    for key in given:
        if not _NAME.fullmatch(key) or (key not in known and not several):
            raise unknown(where, key, ("kind", "class_weights", *known))
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    takes = [each for each in parameters if each.kind in positional]
    if len(takes) < 2 and not any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in parameters):
        raise lacking(where, f"{name} must take outputs and answers, and return the loss of each example")
    for each in parameters[2:]:
        needed = each.default is inspect.Parameter.empty and each.kind not in (
            inspect.Parameter.VAR_KEYWORD,
            inspect.Parameter.VAR_POSITIONAL,
        )
        if needed and each.name not in given:
            raise lacking(
                f"{where}.{each.name}",
                f"missing, and {name} takes it",
            )
