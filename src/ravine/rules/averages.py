"""Averages of the weights along a run, put around any rule without a second copy of it.

Every average moves in the same way, ``e <- e + share (w - e)``, where w is the point that the rule deploys after the
step; what kind it is, is the share of each step. A share is a number that changes from step to step, as the learning
rate is. Before its first weights an average has no value (it is 0, and its shares are 0); the first share is 1, so an
average begins as the weights, and never remembers where training began.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ravine.rules.base import DEPLOYED, Evaluation, Hypers, Rule, Search, State
from ravine.rules.hyper import Hyper

if TYPE_CHECKING:
    from torch import Tensor

WIDEST = 0.2886751345948129
"""Relative width of the uniform mean, 1 / sqrt(12); a power average is narrower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Average:
    """An average of the weights after the steps of a run.

    Args:
        name: of its slot and of its point, as in "ema 0.999".
        share: of numbers of steps, which count from 1, the share of the weights after each, float64 in [0, 1].
        first: the first step whose weights count; before it there is no average.
    """

    name: str
    share: Callable[[np.ndarray], np.ndarray]
    first: int = 1


def ema(decay: float) -> Average:
    """Exponential moving average, debiased from the first step.

    ``e <- e + (1 - d) / (1 - d^t) (w - e)``: after t steps the weights of step i count
    ``(1 - d) d^(t - i) / (1 - d^t)``.

    Args:
        decay: d, in (0, 1): it averages over the last 1 / (1 - d) steps or so.

    Example:
        >>> ema(0.5).name, ema(0.5).share(np.array([1, 2, 3])).round(4).tolist()
        ('ema 0.5', [1.0, 0.6667, 0.5714])
    """
    return Average(name=ema_name(decay), share=partial(ema_share, decay))


def ema_name(decay: float) -> str:
    """What the average of this decay is called.

    Example:
        >>> ema_name(0.999)
        'ema 0.999'
    """
    return f"ema {float(decay)!r}"


def ema_share(decay: float, t: np.ndarray | float) -> np.ndarray:
    """The share of step t; with an infinite t that of an average which is not debiased, ``1 - d``."""
    return np.asarray((1.0 - decay) / (1.0 - decay**t))


def power(width: float) -> Average:
    """Power average: the weights of step i of t count ``(i / t)^(g + 1) - ((i - 1) / t)^(g + 1)``.

    Its profile keeps its form as training goes on: it always covers the same part of the run. ``g`` follows from the
    relative width, ``width^2 = (g + 1) / ((g + 2)^2 (g + 3))``; g = 0 is the uniform mean.

    Args:
        width: standard deviation of the profile, as a part of the run, in (0, 0.2886...).

    Example:
        >>> power(0.1).share(np.array([1, 2, 100])).round(4).tolist()
        [1.0, 0.9959, 0.0767]

    References:
        Karras, Aittala, Lehtinen, Hellsten, Aila and Laine, "Analyzing and improving the training dynamics of
        diffusion models", 2024.
    """
    more = exponent(width) + 1.0
    return Average(name=f"power {float(width)!r}", share=lambda t: 1.0 - (1.0 - 1.0 / t) ** more)


def exponent(width: float) -> float:
    """The exponent g of a power average of this relative width.

    Example:
        >>> round(exponent(0.05), 2), round(exponent(0.10), 2)
        (16.97, 6.94)
    """
    inverse = width**-2
    return float(np.roots([1.0, 7.0, 16.0 - inverse, 12.0 - inverse]).real.max())


def uniform(first: int = 1, name: str = "polyak") -> Average:
    """The mean of the weights after step ``first`` and after every later one (Polyak and Juditsky, 1992).

    Example:
        >>> uniform(3).share(np.array([2, 3, 4, 5])).round(4).tolist()
        [0.0, 1.0, 0.5, 0.3333]
    """
    return Average(
        name=name,
        first=first,
        share=lambda t: np.where(t < first, 0.0, 1.0 / np.maximum(t - first + 1.0, 1.0)),
    )


def chosen(steps: Iterable[int], name: str = "swa") -> Average:
    """The mean of the weights after some steps, such as the ends of cycles (Izmailov et al., 2018).

    Example:
        >>> chosen([2, 5]).share(np.array([1, 2, 3, 4, 5, 6])).tolist()
        [0.0, 1.0, 0.0, 0.0, 0.5, 0.0]
    """
    at = np.array(sorted(set(steps)))

    def share(t: np.ndarray) -> np.ndarray:
        place = np.searchsorted(at, t)
        return np.where(np.isin(t, at), 1.0 / (place + 1.0), 0.0)

    return Average(name=name, first=int(at[0]), share=share)


def averaged(rule: Rule, names: Sequence[str]) -> Rule:
    """The rule with averages: for each a slot and a point of its name.

    The averages change nothing else of the rule. Its update reads the share of each as a hyper of that name.

    Args:
        rule: any rule, with its penalties.
        names: of the averages.

    Example:
        >>> from ravine.rules import rule
        >>> list(averaged(rule("momentum"), ["ema 0.9"]).points)
        ['ema 0.9']
    """
    if not names:
        return rule
    own = frozenset(names)

    def init(param: Tensor) -> State:
        return {**rule.init(param), **{name: param.new_zeros(param.shape) for name in names}}

    def follow(param: Tensor, step: Tensor, state: State, new: State, hypers: Hypers) -> State:
        return {**new, **moved(rule, names, param + step, {**state, **new}, hypers)}

    def update(grad: Tensor, state: State, param: Tensor, hypers: Hypers, t: Tensor) -> tuple[Tensor, State]:
        step, new = rule.update(grad, _without(state, own), param, hypers, t)
        return step, follow(param, step, state, new, hypers)

    def advance(found: Evaluation, state: State, param: Tensor, hypers: Hypers) -> tuple[Tensor, State]:
        assert rule.search is not None, "called only for rules that search"
        step, new = rule.search.advance(found, _without(state, own), param, hypers)
        return step, follow(param, step, state, new, hypers)

    search: Search | None = None if rule.search is None else replace(rule.search, advance=advance)
    return replace(
        rule,
        init=init,
        update=rule.update if search else update,
        search=search,
        points={**rule.points, **{name: partial(_slot, name) for name in names}},
        others=None if rule.others is None else averaged(rule.others, names),
    )


def moved(rule: Rule, names: Iterable[str], after: Tensor, state: State, hypers: Hypers) -> State:
    """The averages after a step.

    Args:
        rule: without the averages.
        names: of the averages.
        after: the parameters after the step.
        state: the rule's slots after the step, and the averages before it.
        hypers: of the step, with the share of each average.
    """
    point = after if rule.deployed is None else rule.deployed(after, state, hypers)
    return {name: state[name].lerp(point, hypers[name]) for name in names}


def averaging(rule: Rule, decay: float) -> Rule:
    """The rule that deploys the debiased exponential average of its weights, as a rule of its own.

    It needs no schedule of shares: the decay is a hyper, ``ema``, and the share follows from it and the step's number.
    So it is for what knows no averages beside a rule, such as a surface. At the start it is where the rule is.

    Args:
        rule: any rule that does not search, with its penalties.
        decay: d, in (0, 1): the default of the hyper.

    Example:
        >>> from ravine.rules import rule
        >>> averaging(rule("sgd"), 0.9).name, list(averaging(rule("sgd"), 0.9).hypers)
        ('sgd, ema 0.9', ['lr', 'ema'])
    """
    name = ema_name(decay)

    def init(param: Tensor) -> State:
        return {**rule.init(param), name: param.clone()}

    def update(grad: Tensor, state: State, param: Tensor, hypers: Hypers, t: Tensor) -> tuple[Tensor, State]:
        step, new = rule.update(grad, _without(state, frozenset({name})), param, hypers, t)
        share = (1.0 - hypers["ema"]) / (1.0 - hypers["ema"] ** t)
        after = moved(rule, [name], param + step, {**state, **new}, {**hypers, name: share})
        return step, {**new, **after}

    about = "decay of the average of the weights"
    return replace(
        rule,
        name=f"{rule.name}, {name}",
        hypers={
            **rule.hypers,
            "ema": Hyper(about=about, default=float(decay), low_open=True, high=1.0, high_open=True),
        },
        init=init,
        update=update,
        points={DEPLOYED: partial(_slot, name)},
    )


def _slot(name: str, param: Tensor, state: State, hypers: Hypers) -> Tensor:  # noqa: ARG001 (a hook of a rule)
    return state[name]


def _without(state: State, names: frozenset[str]) -> State:
    return {name: slot for name, slot in state.items() if name not in names}
