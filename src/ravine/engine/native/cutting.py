"""The products of a batch with a layer's weights, cut out of a run's gradient: they are made for several runs at once.

Shapes: B example, D feature, K row of the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from ravine import aten
from ravine.tensors import Layout
from ravine.trace import recorded

Program = Callable[..., tuple[Tensor, ...]]
_VIEWS = (
    "t",
    "view",
    "_unsafe_view",
    "select",
    "slice",
    "unsqueeze",
    "squeeze",
    "select_backward",
    "clone",
    "alias",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A program without the products of a batch.

    Args:
        program: takes what the whole takes, and the product (K, B) as one more; gives what the whole gives, but for the
            gradient of the weights, and the slopes (B, K) that it is made of as the last.
        weights: which parameter they are the product of.
        output: number of the output that is missing; None: no gradient is taken.
    """

    program: Program
    weights: int
    output: int | None


def cut(program: Program, examples: Sequence[Tensor], batch: int, points: int, layout: Layout) -> Cut | None:
    """Cut the products of a batch out of a program; None: it does something else with the batch.

    Args:
        program: see `recorded`.
        examples: of its inputs.
        batch: number of the input with the batch, (B, D).
        points: number of that with a run's numbers, (1, P).
        layout: of these.
    """
    graph, root = recorded(program, examples)
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    results: list[fx.Node] = list(next(node for node in graph.nodes if node.op == "output").args[0])
    users = list(_users(inputs[batch]))
    forward = [
        node for node in users if aten.name_of(node) in ("addmm", "mm") and _is(node, -2, inputs[batch])
    ]
    backward = [node for node in users if aten.name_of(node) == "mm" and _is(node, 1, inputs[batch])]
    if len(forward) != 1 or len(users) != 1 + len(backward) or len(backward) > 1 or forward[0].kwargs:
        return None
    weights = _weights(forward[0].args[-1], inputs[points], layout)
    if weights is None:
        return None
    output = None
    if backward:
        found = [i for i, node in enumerate(results) if _same_matrix(node, backward[0])]
        if len(found) != 1 or len(backward[0].users) != 1 or _shape(backward[0]) != layout.shapes[weights]:
            return None
        [output] = found
    module = fx.GraphModule(root, graph)

    def rest(*given: Tensor) -> tuple[Tensor, ...]:
        *given_before, product = given
        carried = _Rest(module, forward[0], backward[0] if backward else None, product)
        outputs = list(carried.run(*given_before))
        if output is not None:
            outputs.pop(output)
            outputs.append(carried.slopes)
        return tuple(outputs)

    return Cut(program=rest, weights=weights, output=output)


class _Rest(fx.Interpreter):
    """Carries out a graph, but for two products."""

    def __init__(
        self, module: fx.GraphModule, forward: fx.Node, backward: fx.Node | None, product: Tensor
    ) -> None:
        super().__init__(module)
        self._forward, self._backward, self._product = forward, backward, product
        self.slopes = product

    def run_node(self, n: fx.Node) -> Any:
        """As the graph says, unless it is one of the two."""
        if n is self._forward:
            found = self._product.t()
            return found if len(n.args) == 2 else self._value(n.args[0], n) + found
        if n is self._backward:
            self.slopes = self._value(n.args[0], n).t()
            return torch.zeros(n.meta["tensor"][0])
        return super().run_node(n)

    def _value(self, argument: Any, node: fx.Node) -> Tensor:
        found: Any = self.map_nodes_to_values(argument, node)
        assert isinstance(found, Tensor), "products are of tensors"
        return found


def _users(node: fx.Node) -> Iterator[fx.Node]:
    """What uses a tensor, or a view or a copy of it."""
    for user in node.users:
        if user.op == "call_function" and aten.is_operation(user) and aten.name_of(user) in _VIEWS:
            yield from _users(user)
        else:
            yield user


def _shape(node: fx.Node) -> tuple[int, ...]:
    return tuple(node.meta["tensor"][0])


def _is(node: fx.Node, number: int, batch: fx.Node) -> bool:
    """Whether an argument is the batch as it is."""
    found = node.args[number]
    while isinstance(found, fx.Node) and found.op == "call_function":
        if aten.name_of(found) not in _VIEWS or aten.name_of(found) == "t":
            return False
        found = found.args[0]
    given = node.args[number]
    return found is batch and isinstance(given, fx.Node) and _shape(given) == _shape(batch)


def _weights(node: Any, points: fx.Node, layout: Layout) -> int | None:
    """Number of the parameter that a matrix is, turned round once."""
    turns, start, shape = 0, None, _shape(node)[::-1]
    while isinstance(node, fx.Node) and node is not points:
        name = aten.name_of(node) if node.op == "call_function" and aten.is_operation(node) else ""
        if name not in _VIEWS:
            return None
        turns += name == "t"
        if name == "slice":
            start = node.args[2]
        node = node.args[0]
    if node is not points or turns != 1 or start not in layout.offsets:
        return None
    number = layout.offsets.index(start)
    return number if layout.shapes[number] == shape else None


def _same_matrix(result: fx.Node, product: fx.Node) -> bool:
    """Whether a result is a product, but for dimensions of size 1."""
    turns, node = 0, result
    while node is not product:
        name = aten.name_of(node) if node.op == "call_function" and aten.is_operation(node) else ""
        if name not in _VIEWS:
            return False
        turns += name == "t"
        before = node.args[0]
        assert isinstance(before, fx.Node), "a view is of a node"
        node = before
    return turns % 2 == 0
