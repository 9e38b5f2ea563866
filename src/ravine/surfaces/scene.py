"""What is shown on one page: surfaces, rules, a start; a user's words checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ravine.errors import InputError, choices, in_a_line, raised_at
from ravine.messages import as_float, shown, whole_number
from ravine.rules import RULES, Rule, regularize
from ravine.rules.averages import averaging
from ravine.study.block import rule_named
from ravine.surfaces.base import Point, Surface
from ravine.surfaces.builtin import SURFACES, own_surface, surface
from ravine.surfaces.newton import SECOND_ORDER
from ravine.surfaces.paths import path
from ravine.surfaces.traced import NoExpression, TracedRule, trace_rule

if TYPE_CHECKING:
    from torch import Tensor

USUAL = ("sgd", "momentum", "adagrad", "rmsprop", "adam")
PENALTIES = ("weight_decay", "l1")  # that a rule on a page has beside its own hypers, unless it refuses them
MOST_STEPS = 5000
_FIXED_LRS = tuple(10 ** (-4 + 0.25 * i) for i in range(21))
_MIDDLE = 10**-1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """Paths of a rule that has no expression, computed beforehand.

    Args:
        reason: why it has none.
        lr: that is shown first, one of those of the paths.
        paths: by learning rate, from the scene's start; only finite points.
    """

    reason: str
    lr: float
    paths: Mapping[float, Any]

    def json(self, name: str) -> dict[str, Any]:
        """For the page; ``name`` is the surface's."""
        rows = []
        for lr, found in self.paths.items():
            num = int(found.losses.shape[0])
            finite = [i for i in range(num) if math.isfinite(found.losses[i])]
            rows.append(
                {
                    "lr": lr,
                    "points": [float(f"{value:.8g}") for i in finite for value in found.points[i]],
                    "losses": [float(f"{found.losses[i]:.8g}") for i in finite],
                }
            )
        return {"reason": self.reason, "lrs": list(self.paths), "lr": self.lr, "paths": {name: rows}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a page, a picture or an animation shows.

    Args:
        surface: that it begins with.
        surfaces: that can be chosen.
        rules: that can be switched on.
        on: names of those that are.
        start: where paths begin.
        steps: how many.
        lr: of all rules; None: for each the best from this start.
        noise: of the gradient.
        seed: of the noise.
        command: that makes it again.
        traced: the rules that have expressions.
        fixed: paths of those that have none.
    """

    surface: Surface
    surfaces: tuple[Surface, ...]
    rules: tuple[Rule, ...]
    on: tuple[str, ...]
    start: Point
    steps: int
    lr: float | None
    noise: float
    seed: int
    command: str
    traced: tuple[TracedRule, ...] = field(repr=False)
    fixed: Mapping[str, Fixed] = field(repr=False)


def scene(
    ground: str | Surface | Callable[[Tensor], Tensor],
    *,
    rules: Sequence[str | Rule] | None = None,
    start: Sequence[float] | None = None,
    steps: int = 300,
    lr: float | None = None,
    ema: float | None = None,
    domain: Sequence[float] | None = None,
    noise: float | None = None,
    seed: int = 0,
    command: str = "",
) -> Scene:
    """A scene, from what a user says.

    Args:
        ground: a surface, its name, or a function ``f(x: Tensor[2]) -> Tensor``.
        rules: that are on: names (`newton` and `saddle_free_newton` too), ``"package.module:name"`` of a `Rule`, or
            rules themselves; None: the usual ones.
        start: two numbers; None: the surface's own start.
        steps: how many.
        lr: of all rules; None: for each the best from this start.
        ema: decay of an exponential average of the weights, which walks beside each rule that is on; None: none does.
        domain: of a function's map: left, right, bottom, top.
        noise: standard deviation of what is added to each number of the gradient.
        seed: of the noise.
        command: that makes it again.

    Raises:
        InputError: a name that is not known, or a value that is not allowed.
    """
    found = _surface(ground, domain)
    wanted = [each if isinstance(each, Rule) else _rule(each, found) for each in (rules or USUAL)]
    _check(wanted, found)
    if ema is not None:
        wanted = [both for each in wanted for both in (each, _averaging(each, ema))]
    taken = {own.name for own in wanted}
    known = {name: each for name, each in RULES.items() if name not in taken and each.others is None}
    every = [*wanted, *known.values()]
    point = _numbers("start", found.start if start is None else start, 2)
    steps = whole_number("steps", steps, 1, MOST_STEPS)
    seed = whole_number("seed", seed, 0, 2**32 - 1)
    if lr is not None:
        for each in wanted:
            lr = each.hypers["lr"].check("lr", lr, f"surface, rule {each.name}")
    scale = found.noise if noise is None else as_float(noise)
    if scale is None or not 0.0 <= scale < math.inf:
        raise InputError(f"noise = {shown(noise)}: must be a finite number of at least 0")
    traced, fixed = [], {}
    for each in every:
        if each.name in SECOND_ORDER:
            fixed[each.name] = _precomputed(
                each,
                found,
                (point[0], point[1]),
                steps,
                scale,
                seed,
                f"rule {each.name}: it takes second derivatives",
            )
            continue
        try:
            traced.append(trace_rule(_with_penalties(each)))
        except NoExpression as error:
            fixed[each.name] = _precomputed(each, found, (point[0], point[1]), steps, scale, seed, str(error))
    plain = [each for each in SURFACES.values() if not each.noise]
    return Scene(
        surface=found,
        surfaces=(found, *(each for each in plain if each.name != found.name))
        if found.name in SURFACES
        else (found,),
        rules=tuple(every),
        on=tuple(each.name for each in wanted),
        start=(point[0], point[1]),
        steps=steps,
        lr=lr,
        noise=scale,
        seed=seed,
        command=command,
        traced=tuple(traced),
        fixed=fixed,
    )


def _check(wanted: Sequence[Rule], ground: Surface) -> None:
    """See that these rules can walk, under different names."""
    for i, each in enumerate(wanted):
        if each.name in [other.name for other in wanted[:i]]:
            raise InputError(f"rules: {shown(each.name)} is named twice")
        if each.others is not None:
            raise InputError(f"rules: {each.name!r} is for matrices, and a point of a surface has none")
        if "lr" not in each.hypers:
            raise InputError(f"rules: {shown(each.name)} has no hyper lr")
        for name, hyper in each.hypers.items():
            if name != "lr" and hyper.default is None:
                raise InputError(
                    f"rules: {shown(each.name)} has no default for {name}: give it one to walk with"
                )
        if each.search is not None:
            raise InputError(f"rules: {shown(each.name)} searches for its steps, which a page does not show")
        own = each.hypers["lr"]
        lr = next((lr for lr in (own.default, _MIDDLE, *_FIXED_LRS) if lr and own.fault(lr) is None), None)
        try:
            path(each, ground, hypers={} if lr is None else {"lr": lr}, steps=1)
        except InputError:
            raise
        except Exception as error:
            at = raised_at(error)
            raise InputError(f"rules: {shown(each.name)} fails on a point: {in_a_line(error)}{at}") from error


def _rule(name: object, ground: Surface) -> Rule:
    """By name, or as `package.module:name`; one of second order needs the surface."""
    if not isinstance(name, str):
        raise InputError(f"rules: {shown(name)} is not a rule: must be a ravine.Rule or a name")
    if name in SECOND_ORDER:
        return SECOND_ORDER[name](ground)
    if ":" in name:
        return rule_named(name, "rules", None)
    if name not in RULES:
        known = choices(name, [*RULES, *SECOND_ORDER])
        raise InputError(
            f'rules: unknown rule {shown(name)}: {known}, or "package.module:name" of a ravine.Rule'
        )
    return RULES[name]


def _surface(ground: Any, domain: Sequence[float] | None) -> Surface:
    if isinstance(ground, Surface | str):
        if domain is not None:
            raise InputError("domain: only a function's map is chosen; a surface has its own")
        return surface(ground) if isinstance(ground, str) else ground
    if not callable(ground):
        raise InputError(
            f"surface = {shown(ground)}: must be a name, or a function of a tensor of two numbers"
        )
    left, right, bottom, top = _numbers("domain", (-2.0, 2.0, -2.0, 2.0) if domain is None else domain, 4)
    if not (left < right and bottom < top):
        raise InputError(f"domain = {domain}: must be left, right, bottom, top, in this order")
    made = own_surface(ground, (left, right, bottom, top))
    _try(made)
    return made


def _try(ground: Surface) -> None:
    """See that a user's function makes one number of a point."""
    import torch

    name = shown(ground.name)
    try:
        value: object = ground.loss(torch.tensor(ground.start, dtype=torch.float64), {})
    except Exception as error:
        raise InputError(
            f"surface {name} fails at its start: {in_a_line(error)}{raised_at(error)}"
        ) from error
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        given = f"one of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else shown(value)
        raise InputError(f"surface {name}: must return a tensor of one number, not {given}")


def _numbers(name: str, given: Sequence[float], num: int) -> list[float]:
    try:
        numbers = [float(value) for value in given]
    except (TypeError, ValueError, OverflowError):
        numbers = []
    if len(numbers) != num or not all(map(math.isfinite, numbers)):
        raise InputError(f"{name} = {shown(given)}: must be {num} finite numbers")
    return numbers


def _averaging(each: Rule, decay: float) -> Rule:
    """The rule's average, behind the penalties: none is put around it once more."""
    if (number := as_float(decay)) is None or not 0.0 < number < 1.0:
        raise InputError(f"ema = {shown(decay)}: must be a number above 0 and below 1")
    # A rule of second order takes no penalties.
    own = each if each.name in SECOND_ORDER else _with_penalties(each)
    return replace(averaging(own, number), refuses=frozenset(PENALTIES))


def _with_penalties(each: Rule) -> Rule:
    return regularize(each, [name for name in PENALTIES if name not in each.refuses])


def _precomputed(
    each: Rule, ground: Surface, start: Point, steps: int, noise: float, seed: int, reason: str
) -> Fixed:
    own = each.hypers["lr"]
    paths = {
        lr: path(each, ground, start=start, hypers={"lr": lr}, steps=steps, noise=noise, seed=seed)
        for lr in _FIXED_LRS
        if own.fault(lr) is None
    }
    first = min(paths, key=lambda lr: abs(math.log(lr / (own.default or _MIDDLE))))
    return Fixed(reason=reason, lr=first, paths=paths)
