"""Rules and surfaces as expressions of single numbers, from their one definition in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ravine import aten
from ravine.errors import ModelError
from ravine.rules import Rule
from ravine.surfaces.base import Surface
from ravine.surfaces.operations import table
from ravine.surfaces.scalars import Scalar, ScalarPool
from ravine.trace import recorded


class NoExpression(ModelError):
    """A function that does not come down to elementary operations on single numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expressions:
    """A function of numbers.

    Args:
        inputs: their names, in order.
        outputs: what it computes of them.
    """

    inputs: tuple[str, ...]
    outputs: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedSurface:
    """A surface as expressions of "x0", "x1" and its parameters: the loss, and the two numbers of its gradient."""

    surface: Surface
    loss: Expressions
    slope: Expressions


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedRule:
    """A rule on one point, as expressions.

    Args:
        rule: what was traced.
        hypers: names of its hypers.
        slots: names of the numbers of its state.
        init: the state, of "x0", "x1".
        gradient_at: where the gradient is taken, of point, state and hypers.
        update: the step and the next state, of these and "g0", "g1", "t".
        weights: the point to evaluate, of point, state and hypers.
    """

    rule: Rule
    hypers: tuple[str, ...]
    slots: tuple[str, ...]
    init: Expressions
    gradient_at: Expressions
    update: Expressions
    weights: Expressions


def expressions(
    function: Callable[..., Sequence[Tensor]], examples: Mapping[str, Tensor], where: str
) -> Expressions:
    """What a function computes, number by number.

    Args:
        function: of tensors, to tensors; it is run once.
        examples: its arguments by name. A 0-d tensor is one input of that name; the others are one for each number,
            with their place behind the name.
        where: what it is, for the error text.

    Raises:
        NoExpression: an operation that is not elementary, or control flow that depends on numbers.
    """
    names: list[str] = []
    pool = ScalarPool()
    given = []
    for name, tensor in examples.items():
        own = [name] if tensor.ndim == 0 else [f"{name}{i}" for i in range(tensor.numel())]
        array = np.empty(len(own), dtype=object)
        array[:] = [pool.input(each) for each in own]
        given.append(array.reshape(tuple(tensor.shape)))
        names += own
    try:
        graph, constants = recorded(lambda *tensors: tuple(function(*tensors)), list(examples.values()))
    except ModelError as error:
        raise NoExpression(f"{where}: {error}") from None
    operations = table(pool)
    values: dict[torch.fx.Node, Any] = {}
    places = iter(given)
    for node in graph.nodes:
        if node.op == "placeholder":
            values[node] = next(places)
        elif node.op == "get_attr":
            numbers = getattr(constants, str(node.target)).to(torch.float64)
            array = np.empty(tuple(numbers.shape), dtype=object)
            for place in np.ndindex(array.shape):
                array[place] = pool.const(float(numbers[place]))
            values[node] = array
        elif node.op == "call_function":
            args, kwargs = torch.fx.map_arg((list(node.args), dict(node.kwargs)), values.__getitem__)
            values[node] = _applied(node, operations, args, kwargs, where)
        else:
            outputs = [values[output] for output in node.args[0]]
    number = [scalar for output in outputs for scalar in np.asarray(output, dtype=object).reshape(-1)]
    return Expressions(
        inputs=tuple(names),
        outputs=tuple(scalar if isinstance(scalar, Scalar) else pool.const(scalar) for scalar in number),
    )


def _applied(
    node: torch.fx.Node, operations: Mapping[str, Callable[..., Any]], args: Any, kwargs: Any, where: str
) -> Any:
    if not aten.is_operation(node):
        return args[0][args[1]]
    name = aten.name_of(node)
    _, dtype = node.meta.get("tensor", (None, None))
    if name == "_to_copy" and dtype in (torch.float32, torch.bfloat16, torch.float16):
        raise NoExpression(
            f"{where}: it computes in {str(dtype).removeprefix('torch.')}, and expressions in float64"
        )
    kwargs = {key: value for key, value in kwargs.items() if key not in _LAYOUT}
    try:
        result = operations[name](*args, **kwargs)
    except (
        KeyError,
        NotImplementedError,
        TypeError,
        ValueError,
    ):  # an operation, or a form of it, that is not known
        raise NoExpression(f"{where}: aten::{name} has no expression in elementary operations") from None
    if aten.is_in_place(node):
        args[0][...] = result
        return args[0]
    return result


_LAYOUT = ("dtype", "layout", "device", "pin_memory", "memory_format", "non_blocking", "copy", "implicit")


def trace_surface(surface: Surface) -> TracedSurface:
    """The expressions of a surface and of its gradient.

    Raises:
        NoExpression: see `expressions`.
    """
    names = list(surface.params)
    examples = {"x": torch.tensor(surface.start, dtype=torch.float64)}
    examples |= {name: _number(param.default or 0.0) for name, param in surface.params.items()}
    where = f"surface {surface.name}"

    def loss(x: Tensor, *params: Tensor) -> tuple[Tensor]:
        return (surface.loss(x, dict(zip(names, params, strict=True))),)

    def slope(x: Tensor, *params: Tensor) -> tuple[Tensor]:
        return (surface.slope(x, dict(zip(names, params, strict=True))),)

    return TracedSurface(
        surface=surface,
        loss=expressions(loss, examples, where),
        slope=expressions(slope, examples, where),
    )


def trace_rule(rule: Rule) -> TracedRule:
    """The expressions of a rule on a point.

    Raises:
        NoExpression: see `expressions`; a line search, for example.
    """
    hypers = tuple(rule.hypers)
    point = torch.tensor([0.5, -0.25], dtype=torch.float64)
    with torch.no_grad():
        state = rule.init(point)
    slots = list(state)
    where = f"rule {rule.name}"

    def taken(tensors: Sequence[Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """State and hypers, of a row of tensors."""
        own = dict(zip(slots, tensors[: len(slots)], strict=True))
        return own, dict(zip(hypers, tensors[len(slots) :], strict=True))

    def init(x: Tensor) -> list[Tensor]:
        return list(rule.init(x).values())

    def gradient_at(x: Tensor, *rest: Tensor) -> tuple[Tensor]:
        return (x if rule.gradient_at is None else rule.gradient_at(x, *taken(rest)),)

    def weights(x: Tensor, *rest: Tensor) -> tuple[Tensor]:
        return (x if rule.deployed is None else rule.deployed(x, *taken(rest)),)

    def update(x: Tensor, *rest: Tensor) -> list[Tensor]:
        own, given = taken(rest[:-2])
        step, after = rule.update(rest[-2], own, x, given, rest[-1])
        return [step, *(after[name] for name in slots)]

    examples = {"x": point}
    examples |= {f"{name}_": tensor.to(torch.float64) for name, tensor in state.items()}
    examples |= {name: _number(hyper.default or 0.5) for name, hyper in rule.hypers.items()}
    moved = {**examples, "g": torch.tensor([0.25, 0.75], dtype=torch.float64), "t": _number(1.0)}
    with torch.no_grad():
        numbers = {
            "init": expressions(init, {"x": point}, where),
            "gradient_at": expressions(gradient_at, examples, where),
            "update": expressions(update, moved, where),
            "weights": expressions(weights, examples, where),
        }
    names = numbers["weights"].inputs
    return TracedRule(rule=rule, hypers=hypers, slots=names[2 : len(names) - len(hypers)], **numbers)


def _number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)
