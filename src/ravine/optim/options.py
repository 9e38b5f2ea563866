"""The settings of a group of parameters: torch.optim's names, the rules' names, and what is allowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from torch import Tensor

from ravine.errors import StudyError
from ravine.messages import shown
from ravine.rules import Hyper, Rule, decays, preset, rule
from ravine.rules.averages import ema_name
from ravine.rules.regularize import REGULARIZERS

Preset: TypeAlias = "Literal['lecture', 'torch']"

Place: TypeAlias = "str | tuple[str, int] | Callable[[Mapping[str, Any]], float]"
Decays: TypeAlias = "float | Sequence[float]"
"""The decay of a moving average of the weights, 0 for none, or those of several."""

EMA = "ema"
OWN = "own"
"""What `deployed` calls a rule's own point, without an average."""
_AVERAGE = Hyper(about="decay of the moving average", default=0.0, high=1.0, high_open=True)
_OF_SEVERAL = replace(_AVERAGE, low_open=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What torch.optim calls the parts of a rule: all that a class of optimizers is.

    Args:
        rule: the rule of a group.
        hypers: where a group has each of the rule's hypers: its key, or key and place in a pair; or a function of the
            group that returns it.
        slots: from a group, the keys of a state for the rule's slots of a parameter's shape.
        counts: the keys of a state for the slots that are one number.
        fixed: keys of torch.optim's with the only value that is supported here.
        as_torch: our keys that torch.optim's groups lack, with the values by which we do what torch.optim does.
    """

    rule: Callable[[Mapping[str, Any]], Rule]
    hypers: Mapping[str, Place]
    slots: Callable[[Mapping[str, Any]], Mapping[str, str]]
    counts: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    as_torch: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def of(
        kind: str,
        hypers: Mapping[str, Place],
        slots: Mapping[str, str] | None = None,
        *,
        counts: Mapping[str, str] | None = None,
        fixed: Mapping[str, Any] | None = None,
        as_torch: Mapping[str, Any] | None = None,
    ) -> Words:
        """The words of a class that always is one rule, whatever is set in a group."""
        named, names = rule(kind), slots or {}
        return Words(
            rule=lambda _group: named,
            hypers=hypers,
            slots=lambda _group: names,
            counts=counts or {},
            fixed=fixed or {},
            as_torch=as_torch or {},
        )

    @property
    def torch_keys(self) -> list[str]:
        """The keys that a group of torch.optim's has."""
        places = [
            each if isinstance(each, str) else each[0] for each in self.hypers.values() if not callable(each)
        ]
        return [key for key in dict.fromkeys([*places, *self.fixed]) if key not in self.as_torch]


def excluded(exclude: str | None, preset_name: Preset) -> str | None:
    """The value of ``exclude``; the preset "torch" excludes nothing by default, since torch.optim decays everything.

    Raises:
        ValueError: no such preset.
    """
    if preset_name not in ("lecture", "torch"):
        raise ValueError(f"preset = {preset_name!r}: must be 'lecture' or 'torch'")
    return "" if exclude is None and preset_name == "torch" else exclude


def default(kind: str, name: str, given: float | None, preset_name: Preset) -> float:
    """The value of a hyper: as given, or the preset's default."""
    return preset(kind, preset_name)[1][name] if given is None else given


def hypers_of(words: Words, group: Mapping[str, Any]) -> dict[str, float]:
    """A group's numbers under the rules' names."""
    found = {}
    for name, place in words.hypers.items():
        if callable(place):
            value = place(group)
        else:
            value = group[place] if isinstance(place, str) else group[place[0]][place[1]]
        found[name] = float(value)
    for name in REGULARIZERS:
        if name in group and name not in words.fixed:
            found[name] = float(group[name])
    return found


def fixed_of(words: Words, group: Mapping[str, Any]) -> list[Any]:
    """A group's values for the keys of `Words.fixed`, in their order."""
    found = [group.get(name, value) for name, value in words.fixed.items()]
    return [value.item() if isinstance(value, Tensor) and value.numel() == 1 else value for value in found]


def check_group(words: Words, group: Mapping[str, Any]) -> None:
    """Check that all values of a group are allowed.

    Raises:
        ValueError: one is not; the error says what is allowed.
    """
    named = words.rule(group)
    kind = named.name
    for (name, only), value in zip(words.fixed.items(), fixed_of(words, group), strict=True):
        if not _same(value, only):
            raise ValueError(f"{kind}: {name} = {shown(value)}: only {only!r} is supported")
    if group.get("differentiable"):
        raise ValueError(f"{kind}: differentiable = True: only False is supported")
    for name, place in words.hypers.items():
        if callable(place):
            _check(kind, name, place(group), named.hypers[name])
            continue
        key, value = (place, group[place]) if isinstance(place, str) else (place[0], group[place[0]])
        if not isinstance(place, str):
            if not isinstance(value, tuple | list) or len(value) != 2:
                raise ValueError(f"{kind}: {key} = {shown(value)}: must be a pair of numbers")
            value = value[place[1]]
        _check(kind, key, value, named.hypers[name])
    for name in REGULARIZERS:
        if name in group and name not in words.fixed and name not in words.hypers:
            _check(kind, name, group[name], REGULARIZERS[name])
    _check_averages(kind, group[EMA])
    try:
        decays("", (1,), group["exclude"])
    except StudyError as error:
        raise ValueError(f"{kind}: {error}") from None


def averages_of(group: Mapping[str, Any]) -> dict[str, float]:
    """The moving averages of a group: their decays by name; the first is the one to deploy.

    Example:
        >>> averages_of({"ema": [0.99, 0.999]}), averages_of({"ema": 0.0})
        ({'ema 0.99': 0.99, 'ema 0.999': 0.999}, {})
    """
    given = group[EMA]
    if isinstance(given, list | tuple):
        return {ema_name(decay): float(decay) for decay in given}
    return {ema_name(given): float(given)} if given else {}


def is_average(key: str) -> bool:
    """Whether a key of a state is that of an average, or of how many steps it has seen."""
    return key.startswith(f"{EMA} ")


def count_of(name: str) -> str:
    """The key of a state for how many steps an average has seen: infinitely many where it is not debiased.

    Example:
        >>> count_of("ema 0.99")
        'ema 0.99 step'
    """
    return f"{name} step"


def adapt_averages(own: dict[str, Any], wanted: Sequence[str]) -> None:
    """Suit the averages in a parameter's state to those of its group, whose decays may have been changed.

    An average goes on under its new decay. One that was given up is forgotten: later it would lack the steps between.

    Args:
        own: the state; is changed.
        wanted: names of the group's averages.

    Example:
        >>> own = {"ema 0.9": 1.0, "ema 0.9 step": 4.0}
        >>> adapt_averages(own, ["ema 0.99"])
        >>> own
        {'ema 0.99': 1.0, 'ema 0.99 step': 4.0}
    """
    known = [key for key in own if is_average(key) and count_of(key) in own]
    gone, new = [key for key in known if key not in wanted], [key for key in wanted if key not in known]
    kept = [(own.pop(key), own.pop(count_of(key))) for key in gone]
    if len(gone) == len(new):
        for name, (average, steps) in zip(new, kept, strict=True):
            own[name], own[count_of(name)] = average, steps


def _check_averages(kind: str, given: object) -> None:
    if not isinstance(given, list | tuple):
        _check(kind, EMA, given, _AVERAGE)
        return
    for decay in given:
        _check(kind, EMA, decay, _OF_SEVERAL)
    if len(set(map(float, given))) < len(given):
        raise ValueError(f"{kind}: {EMA} = {shown(given)}: the same decay twice")


def _same(value: object, only: object) -> bool:
    if isinstance(only, tuple):
        return isinstance(value, tuple | list) and tuple(value) == only
    return bool(value == only)


def _check(kind: str, key: str, value: object, hyper: Hyper) -> None:
    if isinstance(value, Tensor) and value.numel() != 1:
        raise ValueError(f"{kind}: {key}: a tensor of {value.numel()} numbers; must be one number")
    number = value.item() if isinstance(value, Tensor) else value
    if key == "lr" and number == 0:  # a scheduler may begin or end there
        return
    if isinstance(number, bool):
        number = float(number)
    fault = hyper.fault(number)
    if fault is not None:
        raise ValueError(f"{kind}: {key} = {shown(value)}: must be {fault}")
