"""An optimizer class for a rule of one's own."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import torch

from ravine.errors import StudyError, choices
from ravine.messages import shown
from ravine.optim.base import Params, RuleOptimizer
from ravine.optim.options import EMA, Decays, Words, is_average
from ravine.rules import REGULARIZERS, Rule
from ravine.rules import rule as known
from ravine.rules.own import own

__all__ = ["OwnRule", "of"]


class OwnRule(RuleOptimizer):
    """Base of the classes that `of` makes; not used by itself."""

    rule: ClassVar[Rule]

    def __init__(
        self,
        params: Params,
        lr: float | None = None,
        *,
        exclude: str | None = None,
        ema: Decays = 0.0,
        maximize: bool = False,
        **hypers: float,
    ) -> None:
        named = self.rule
        known = [name for name in (*named.hypers, *_penalties(named)) if name != "lr"]
        for name in hypers:
            if name not in known:
                raise ValueError(f"{named.name}: unknown hyper {name!r}: {choices(name, known)}")
        given = {name: value for name, value in {"lr": lr, **hypers}.items() if value is not None}
        defaults = {name: given.get(name, hyper.default) for name, hyper in named.hypers.items()}
        missing = [name for name, value in defaults.items() if value is None]
        if missing:
            raise ValueError(f"{named.name}: {missing[0]} is missing: {named.hypers[missing[0]].about}")
        penalties = {name: given.get(name, 0.0) for name in _penalties(named)}
        super().__init__(
            params, {**defaults, **penalties, "exclude": exclude, EMA: ema, "maximize": maximize}
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _empty, (self.rule,), self.__getstate__()


def of(rule: Rule) -> type[OwnRule]:
    """A `torch.optim.Optimizer` class that takes the steps of a rule.

    Its arguments are ``params``, the rule's hypers by their names, the penalties that the rule allows, and ``exclude``,
    ``ema`` and ``maximize`` as in `SGD`. Its state has the rule's slots under their own names.

    Args:
        rule: a `ravine.Rule` of scope "element" or "tensor".

    Raises:
        TypeError: it is not a rule.
        ValueError: something is wrong with the rule, or it sees all parameters of a run at once.

    Example:
        >>> import torch
        >>> from ravine import Hyper, Rule
        >>> def update(grad, state, param, hypers, t):
        ...     return -hypers["lr"] * grad.sign(), state
        >>> signs = Rule(name="signs", hypers={"lr": Hyper(about="learning rate", low_open=True)}, update=update)
        >>> weight = torch.ones(2, requires_grad=True)
        >>> optimizer = of(signs)([weight], lr=0.25)
        >>> weight.square().sum().backward()
        >>> optimizer.step()
        >>> weight.tolist()
        [0.75, 0.75]
    """
    if not isinstance(rule, Rule):
        raise TypeError(f"of: must be a ravine.Rule, not {shown(rule)}")
    if rule.search is not None or rule.others is not None:
        raise ValueError(f"of: {rule.name} has a class of its own in ravine.optim")
    try:
        kind = own(rule)
    except StudyError as error:
        raise ValueError(f"of: {error}") from None
    if rule.scope == "run":
        raise ValueError(
            f"of: {rule.name}: scope = 'run' sees all parameters at once, an optimizer one at a time"
        )
    with torch.no_grad():
        state = rule.init(torch.zeros(2, dtype=torch.float32, device="cpu"))
    for name in state:
        if name in ("step", EMA) or is_average(name):
            raise ValueError(f"of: {rule.name}: slot {name!r}: an optimizer's state has this name already")
    return _class(kind)


@cache
def _class(kind: str) -> type[OwnRule]:
    """One class for each kind: equal rules have equal classes."""
    rule = known(kind)
    with torch.no_grad():
        state = rule.init(torch.zeros(2, dtype=torch.float32, device="cpu"))
    slots = {name: name for name, slot in state.items() if slot.dim()}
    words = Words(
        rule=lambda _group: rule,
        hypers={name: name for name in rule.hypers},
        slots=lambda _group: slots,
        counts={name: name for name, slot in state.items() if not slot.dim()},
    )
    name = "".join(part[:1].upper() + part[1:] for part in rule.name.replace("-", "_").split("_"))
    about = {"rule": rule, "words": words, "__doc__": _about(rule), "__signature__": _signature(rule)}
    return type(name, (OwnRule,), about)


def _penalties(rule: Rule) -> list[str]:
    return [name for name in REGULARIZERS if name not in rule.hypers and name not in rule.refuses]


def _about(rule: Rule) -> str:
    lines = [f"{name}: {hyper.about}." for name, hyper in rule.hypers.items()]
    return f"The rule {rule.name} as an optimizer.\n\n{rule.update.__doc__ or ''}\n\n" + "\n".join(lines)


def _signature(rule: Rule) -> inspect.Signature:
    alone = inspect.Parameter.KEYWORD_ONLY
    rest: Mapping[str, Any] = {
        **{name: hyper.default for name, hyper in rule.hypers.items() if name != "lr"},
        **dict.fromkeys(_penalties(rule), 0.0),
        "exclude": None,
        EMA: 0.0,
        "maximize": False,
    }
    either = inspect.Parameter.POSITIONAL_OR_KEYWORD
    lr = rule.hypers["lr"].default
    empty = inspect.Parameter.empty
    return inspect.Signature(
        [
            inspect.Parameter("params", either),
            inspect.Parameter("lr", either, default=empty if lr is None else lr),
            *(inspect.Parameter(name, alone, default=empty if value is None and name in rule.hypers else value)
              for name, value in rest.items()),
        ]
    )  # fmt: skip


def _empty(rule: Rule) -> OwnRule:
    kind = of(rule)
    return kind.__new__(kind)
