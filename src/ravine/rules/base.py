"""What an update rule is: hyperparameters with their ranges, a state, and pure functions over tensors.

A rule is written once, for one run, with tensor methods only: no in-place operation, no branch on a value,
no import of torch. That is what lets the same lines serve a `torch.optim.Optimizer`, all runs of a cohort at
once (`torch.func.vmap`, or directly on ``(R, P)`` with hypers of shape ``(R, 1)``), a traced program, and a
point on a 2-D surface.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Literal, TypeAlias

from ravine.errors import StudyError, choices

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST, LARGEST = 2.0**-126, (2.0 - 2.0**-23) * 2.0**127  # normal numbers of float32

State: TypeAlias = "dict[str, Tensor]"
Hypers: TypeAlias = "Mapping[str, Tensor]"
Init: TypeAlias = "Callable[[Tensor], State]"
Update: TypeAlias = "Callable[[Tensor, State, Tensor, Hypers, Tensor], tuple[Tensor, State]]"
Hook: TypeAlias = "Callable[[Tensor, State, Hypers], Tensor]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyper:
    """One hyperparameter of a rule: what it is, its default and its range.

    Args:
        about: one line for a person.
        default: the lecture's value; None: it must be given.
        low: smallest value.
        high: largest value. A value must be finite even where this is infinite.
        low_open: whether ``low`` itself is refused.
        high_open: whether ``high`` itself is refused.
        log: whether its natural scale is logarithmic (ranges and plots).
        whole: whether it is a whole number.
    """

    about: str
    default: float | None = None
    low: float = 0.0
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False
    log: bool = False
    whole: bool = False

    def check(self, name: str, value: object, where: str) -> float:
        """The value as a float, if it is allowed.

        Args:
            name: the hyperparameter's name.
            value: what the user wrote.
            where: the file and key, or the call, that the value stands in.

        Raises:
            StudyError: not a number, not finite, or out of range.

        Example:
            >>> Hyper(about="learning rate", low_open=True).check("lr", 1, "adam")
            1.0
        """
        fault = self.fault(value)
        if fault is not None:
            raise StudyError(f"{where}: {name} = {value!r}: must be {fault}")
        return float(value)  # type: ignore[arg-type]

    def fault(self, value: object, also: str = "") -> str | None:
        """What a value must be and is not, in words; None for one that is allowed.

        Training computes in float32: a number that is there 0 or infinite would not be what it says.

        Args:
            value: what the user wrote.
            also: what else may stand there, for the words.
        """
        number = _number(value)
        if number is None or not self._holds(number):
            return f"{self.allowed}{also}"
        if 0 < abs(number) < SMALLEST:
            return (
                f"at least {SMALLEST:.2g}, for float32 holds less badly or not{', or 0' * self._holds(0.0)}"
            )
        if abs(number) > LARGEST:
            return f"at most {LARGEST:.2g}, for float32 holds no more"
        return None

    @property
    def allowed(self) -> str:
        """The range in words.

        Example:
            >>> Hyper(about="decay", high=1.0, high_open=True).allowed
            'a number of at least 0 and below 1'
        """
        if self.whole:
            return f"a whole number from {self.low:g} to {self.high:g}"
        low = f"{'above' if self.low_open else 'of at least'} {self.low:g}"
        if math.isinf(self.high):
            return f"a finite number {low}"
        return f"a number {low} and {'below' if self.high_open else 'at most'} {self.high:g}"

    def _holds(self, number: float) -> bool:
        above = number > self.low if self.low_open else number >= self.low
        below = number < self.high if self.high_open else number <= self.high
        return math.isfinite(number) and above and below and (not self.whole or number.is_integer())


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An update rule, as pure functions over the tensors of one run.

    Args:
        name: its kind, as in a study file.
        hypers: hyperparameters by name; ``lr`` is always among them.
        init: the state for a parameter, its slots by name: each of the parameter's shape, or 0-d, one number that all
            parameters of a run have in common.
        update: ``(grad, state, param, hypers, t) -> (update, state)``; the caller computes
            ``param + update``. Hypers are 0-d tensors, or anything that broadcasts against ``param``;
            ``lr`` already carries the schedule's factor and may be 0 for a step. t counts from 1.
        source: authors and year.
        scope: what ``param`` may be: "element", any piece of the parameters; "tensor", one parameter
            tensor in its own shape; "run", all parameters of the run in one flat tensor; "runs", those of
            several runs, (G, P), with hypers of shape (G, 1).
        gradient_at: where the gradient is taken; None: at ``param``.
        weights: the point to evaluate and to deploy; None: ``param``.
        torch_kind: the kind that has torch.optim's form; None: this one has it.
        torch_preset: the hypers of `torch_kind` that torch.optim sets differently.
        masked: whether ``update`` reads an optional tensor ``hypers["mask"]``, 1 where the weight decay
            applies and 0 elsewhere; without it, it applies everywhere.
        refuses: what may stand around other rules (penalties, say) and has no meaning with it.
        searches: whether it has to evaluate one function several times: ``update`` then reads ``hypers["loss"]``, and
            keeps a slot "searching", (G, 1), which is 1 where the next evaluation must be of the same batch.
        hessian: whether ``update`` reads ``hypers["newton"]``, the direction of Newton.
        shaped: from a run's hypers the rule whose state has the shape that they ask for; None: none has to do with it.
        structural: these hypers.
        others: the rule for parameters that are no matrices of a hidden layer (`ravine.rules.muon.hidden`); None: this
            one. The scope then is "tensor".
        dense: how many matrices of P x P numbers a run of P parameters needs.
    """

    name: str
    hypers: Mapping[str, Hyper]
    init: Init
    update: Update
    source: str
    scope: Literal["element", "tensor", "run", "runs"] = "element"
    gradient_at: Hook | None = None
    weights: Hook | None = None
    torch_kind: str | None = None
    torch_preset: Mapping[str, float] = field(default_factory=dict)
    masked: bool = False
    refuses: frozenset[str] = frozenset()
    searches: bool = False
    hessian: bool = False
    shaped: Callable[[Mapping[str, float]], Rule] | None = None
    structural: tuple[str, ...] = ()
    others: Rule | None = None
    dense: int = 0

    @property
    def all_hypers(self) -> Mapping[str, Hyper]:
        """Its own and those of the rule for others."""
        return {**self.hypers, **self.others.hypers} if self.others else self.hypers


def fill(hypers: Mapping[str, Hyper], given: Mapping[str, object], where: str) -> dict[str, float]:
    """All hypers: those given, checked, and the defaults of the others.

    Args:
        hypers: what may be set, by name.
        given: what the user set.
        where: the file and key, or the call, for the error text.

    Returns:
        One float per hyper, in the order of ``hypers``.

    Raises:
        StudyError: an unknown name, a value that is not allowed, or one that is needed and not there.

    Example:
        >>> fill({"rho": Hyper(about="decay of the velocity", default=0.9)}, {}, "momentum")
        {'rho': 0.9}
    """
    for name in given:
        if name not in hypers:
            raise StudyError(f"{where}: unknown hyperparameter '{name}': {choices(name, hypers)}")
    filled = {}
    for name, hyper in hypers.items():
        value = given.get(name, hyper.default)
        if value is None and name not in given:
            raise StudyError(f"{where}: {name} is missing: {hyper.about}, {hyper.allowed}")
        filled[name] = hyper.check(name, value, where)
    return filled


def learning_rate(default: float | None = None) -> Hyper:
    """The hyper ``lr``: every rule has it, and none allows 0."""
    return Hyper(about="learning rate", default=default, low_open=True, log=True)


def decay_rate(about: str, default: float) -> Hyper:
    """A hyper in [0, 1): the decay of a running mean or of a velocity."""
    return Hyper(about=about, default=default, high=1.0, high_open=True)


def small_constant(default: float) -> Hyper:
    """The hyper ``eps``; 0 is refused, since a weight that never had a gradient would become 0/0."""
    return Hyper(about="added to the root of the squares", default=default, low_open=True, log=True)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
