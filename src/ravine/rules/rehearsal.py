"""Tries a rule of one's own on a few numbers: a fault then is one line, before any training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ravine.errors import StudyError, in_a_line, with_article
from ravine.rules.base import Rule
from ravine.rules.hyper import Hyper
from ravine.trace import Untraceable, recorded

Given: TypeAlias = "tuple[Tensor, dict[str, Tensor], Tensor, dict[str, Tensor], Tensor]"
"""(grad, state, param, hypers, t), as an update takes them."""

_CLOSE = 1e-5  # two orders of summation in float32


def rehearse(rule: Rule) -> None:
    """Refuse a rule that is not what its scope says: pure functions of tensors, without branches on values.

    Raises:
        StudyError: what is wrong, in one line.
    """
    with torch.no_grad():
        for shape in ((5,), (3, 4)) if rule.scope == "tensor" else ((12,),):
            for dtype in (torch.float32, torch.float64):
                given = _given(rule, shape, dtype)
                _check_update(rule, given, "lr = 0" if dtype == torch.float32 else "lr = 0, in float64")
                _check_update(rule, _with_lr(given, 0.1), "lr = 0.1")
            given = _with_lr(_given(rule, shape, torch.float32), 0.1)
            _check_traceable(rule, given)
            _check_shared_numbers(rule, given)
            _check_runs(rule, given)


def _given(rule: Rule, shape: tuple[int, ...], dtype: torch.dtype) -> Given:
    count = math.prod(shape)
    param = torch.linspace(-1.0, 2.0, count, dtype=dtype, device="cpu").reshape(shape)
    grad = torch.linspace(1.5, -0.5, count, dtype=dtype, device="cpu").reshape(shape)
    state = _state(rule, param)
    hypers = {
        name: torch.tensor(_value(hyper), dtype=dtype, device="cpu") for name, hyper in rule.hypers.items()
    }
    hypers["lr"] = hypers["lr"] * 0.0
    return grad, state, param, hypers, torch.ones((), dtype=dtype, device="cpu")


def _value(hyper: Hyper) -> float:
    if hyper.default is not None:
        return float(hyper.default)
    inside = 0.5 * (hyper.low + hyper.high) if math.isfinite(hyper.high) else hyper.low + 0.5
    return float(round(inside) if hyper.whole else inside)


def _with_lr(given: Given, lr: float) -> Given:
    grad, state, param, hypers, t = given
    return grad, state, param, {**hypers, "lr": hypers["lr"] + lr}, t


def _state(rule: Rule, param: Tensor) -> dict[str, Tensor]:
    state = _called(rule, "init", rule.init, param)
    if not isinstance(state, Mapping):
        raise _wrong(
            rule,
            f"init returns {with_article(type(state).__name__)}: must be a dict of tensors, its slots by name",
        )
    for name, slot in state.items():
        _check_tensor(rule, f"init's slot {name!r}", slot, param, (tuple(param.shape), ()))
    return dict(state)


def _check_update(rule: Rule, given: Given, where: str) -> tuple[Tensor, dict[str, Tensor]]:
    _, state, param, hypers, _ = given
    before = [tensor.clone() for tensor in _flat(given)]
    for name, hook in (("gradient_at", rule.gradient_at), *rule.points.items()):
        if hook is not None:
            found = _called(rule, name, hook, param, state, hypers)
            _check_tensor(rule, f"{name}'s result", found, param, (tuple(param.shape),))
    result = _called(rule, "update", rule.update, *given)
    if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], Mapping):
        raise _wrong(
            rule,
            f"update returns {with_article(type(result).__name__)}: must be (step, state), a tensor and a dict",
        )
    step, new = result
    _check_tensor(rule, "update's step", step, param, (tuple(param.shape),))
    if new.keys() != state.keys():
        raise _wrong(
            rule,
            f"update returns the slots {_names(new)}, and init made {_names(state)}: they must be the same",
        )
    for name, slot in new.items():
        _check_tensor(rule, f"update's slot {name!r}", slot, param, (tuple(state[name].shape),))
    if any(not torch.equal(old, now) for old, now in zip(before, _flat(given), strict=True)):
        raise _wrong(rule, "it changes a tensor that it was given: no operation in place, such as add_ or +=")
    for name, tensor in (("step", step), *new.items()):
        if not bool(tensor.isfinite().all()):
            raise _wrong(
                rule, f"update's {name!r} is not finite at {where}: a schedule may begin or end at lr = 0"
            )
    return step, dict(new)


def _check_traceable(rule: Rule, given: Given) -> None:
    grad, state, param, hypers, t = given

    def flat(*tensors: Tensor) -> tuple[Tensor, ...]:
        slots = dict(zip(state, tensors[3:], strict=False))
        numbers = dict(zip(hypers, tensors[3 + len(state) :], strict=True))
        step, new = rule.update(tensors[0], slots, tensors[1], numbers, tensors[2])
        hooks = [hook for hook in (rule.gradient_at, *rule.points.values()) if hook is not None]
        return step, *new.values(), *(hook(tensors[1], slots, numbers) for hook in hooks)

    try:
        recorded(flat, [grad, param, t, *state.values(), *hypers.values()])
    except Untraceable as error:
        raise _wrong(rule, f"{error}; write it with tensor operations such as where and clamp") from None
    except Exception as error:
        raise _wrong(rule, f"it cannot be traced: {in_a_line(error)}") from error


def _check_shared_numbers(rule: Rule, given: Given) -> None:
    """A slot that is one number is shared by all parameters, so it must not depend on any of them."""
    grad, state, param, hypers, t = given
    if rule.scope == "run":
        return
    _, first = rule.update(*given)
    _, second = rule.update(grad * -2.0 + 0.5, state, param * 3.0 + 1.0, hypers, t)
    for name, slot in state.items():
        if not slot.dim() and not torch.equal(first[name], second[name]):
            raise _wrong(
                rule,
                f"its slot {name!r} is one number that depends on gradient or parameter: give it the parameter's shape",
            )


def _check_runs(rule: Rule, given: Given) -> None:
    """Several runs at once, and pieces of an elementwise rule's parameter, must give what each gives alone."""
    grad, state, param, hypers, t = given
    others = (grad * 2.0 - 0.3, {name: slot + 0.25 for name, slot in state.items()}, param * 0.5, hypers, t)
    alone = [rule.update(*given), rule.update(*others)]
    if rule.scope == "element":
        both: Given = (
            torch.stack([grad, others[0]]),
            {name: torch.stack([slot, others[1][name]]).reshape(2, -1) for name, slot in state.items()},
            torch.stack([param, others[2]]),
            {name: torch.stack([number, number])[:, None] for name, number in hypers.items()},
            t,
        )
        for name, hook in (("gradient_at", rule.gradient_at), *rule.points.items()):
            if hook is not None:
                ways = both[2], both[1], both[3]
                whole = _called(rule, f"{name} of two runs at once", hook, *ways)
                if not _near(whole[0], hook(param, state, hypers)):
                    raise _not_elementwise(rule)
        started, single = _state(rule, both[2]), _state(rule, param)
        if any(slot.dim() and not _near(started[name][0], slot) for name, slot in single.items()):
            raise _not_elementwise(rule)
        step, new = _called(rule, "update of two runs at once", rule.update, *both)
        for i, (its, slots) in enumerate(alone):
            same = _near(step[i], its) and all(
                _near(new[name][i].reshape(slot.shape), slot) for name, slot in slots.items()
            )
            if not same:
                raise _not_elementwise(rule)
        some = slice(2, 7)
        piece = (
            grad[some],
            {name: slot[some] if slot.dim() else slot for name, slot in state.items()},
            param[some],
            hypers,
            t,
        )
        if not _near(_called(rule, "update", rule.update, *piece)[0], alone[0][0][some]):
            raise _not_elementwise(rule)
        return
    both = tuple(torch.stack(pair) for pair in zip(_flat(given), _flat(others), strict=True))  # type: ignore[assignment]

    def flat(*tensors: Tensor) -> Tensor:
        slots = dict(zip(state, tensors[1:], strict=False))
        numbers = dict(zip(hypers, tensors[2 + len(state) :], strict=False))
        step, _ = rule.update(tensors[0], slots, tensors[1 + len(state)], numbers, tensors[-1])
        return step

    step = _called(rule, "update under vmap", torch.func.vmap(flat), *both)
    if not (_near(step[0], alone[0][0]) and _near(step[1], alone[1][0])):
        raise _wrong(rule, "two runs at once (torch.func.vmap) get other steps than each alone")


def _not_elementwise(rule: Rule) -> StudyError:
    return _wrong(
        rule,
        'its scope is "element", but a step depends on other numbers of the parameter: use scope = "tensor", which '
        'sees each parameter whole, or "run"',
    )


def _near(found: Tensor, wanted: Tensor) -> bool:
    return found.shape == wanted.shape and torch.allclose(found, wanted, rtol=_CLOSE, atol=_CLOSE)


def _check_tensor(
    rule: Rule, what: str, found: object, param: Tensor, shapes: Sequence[tuple[int, ...]]
) -> None:
    if not isinstance(found, torch.Tensor):
        raise _wrong(rule, f"{what} is {with_article(type(found).__name__)}: must be a tensor")
    if tuple(found.shape) not in shapes:
        allowed = ", or ".join(
            f"{shape} as its parameter has" if shape else "() for one number" for shape in shapes
        )
        raise _wrong(rule, f"{what} has shape {tuple(found.shape)}: must be {allowed}")
    if found.dtype != param.dtype:
        raise _wrong(
            rule, f"{what} has dtype {found.dtype} where the parameter has {param.dtype}: they must agree"
        )


def _called(rule: Rule, name: str, function: Callable[..., Any], *args: Any) -> Any:
    try:
        return function(*args)
    except KeyError as error:
        hypers = _names(rule.hypers)
        raise _wrong(
            rule, f"{name} reads {error}, which is neither a hyper ({hypers}) nor a slot of init"
        ) from None
    except Exception as error:
        raise _wrong(rule, f"{name} failed: {in_a_line(error)}") from error


def _flat(given: Given) -> list[Tensor]:
    grad, state, param, hypers, t = given
    return [grad, *state.values(), param, *hypers.values(), t]


def _names(found: Mapping[str, object]) -> str:
    return ", ".join(map(repr, found)) or "none"


def _wrong(rule: Rule, fault: str) -> StudyError:
    return StudyError(f"rule {rule.name!r}: {fault}")
