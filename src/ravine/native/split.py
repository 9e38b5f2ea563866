"""An elementwise function, cut in two: the part that is computed from single numbers alone, and the rest.

A bias correction, for example, is computed once for all weights, in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, fx

from ravine.native.numbers import in_tensors, of_floats
from ravine.native.tensors import Unsupported
from ravine.trace import trace

SIZE = 65_537  # of the vectors that a function is traced with: unlike any number of a rule


class Split:
    """A function of vectors and single numbers.

    Args:
        program: takes vectors and single numbers, and returns new ones of some of them. It is run once.
        vectors: names of its vectors.
        numbers: names of its numbers, which come after the vectors.
        results: for each tensor that it returns, which one it is the new value of; vectors come first.

    Raises:
        Unsupported: a new number that is computed from vectors, or a new vector that is one number.
        Untraceable: what it does depends on numbers in tensors.
    """

    def __init__(
        self,
        program: Callable[..., Sequence[Tensor]],
        vectors: Sequence[str],
        numbers: Sequence[str],
        results: Sequence[str],
    ) -> None:
        # In float32 on a processor, whatever PyTorch's defaults are.
        plain = torch.tensor(0.0, dtype=torch.float32, device="cpu")
        examples = [plain.new_zeros(SIZE) for _ in vectors] + [plain.new_full((), 0.5) for _ in numbers]
        graph = trace(lambda *given: tuple(program(*given)), examples)
        self.vectors, self._numbers = tuple(vectors), tuple(numbers)
        self.written = tuple(name for name in results if name in vectors)
        self._new_numbers = [name for name in results if name not in vectors]
        # over: vectors and the numbers that they need, in this order, and what is written.
        single, self.over, kept = _split(graph, len(vectors), len(self.written))
        self.num_used = len(kept)
        self._by_tensors = in_tensors(single)
        self._by_floats = of_floats(single) or self._by_tensors

    def numbers(self, given: Mapping[str, float]) -> tuple[Sequence[float], dict[str, float]]:
        """Of given numbers, by name, those that the vectors need, and the new ones by name."""
        values = [given[name] for name in self._numbers]
        try:
            found = self._by_floats(*values)
        except (ArithmeticError, ValueError):
            found = self._by_tensors(*values)
        return found[: self.num_used], dict(zip(self._new_numbers, found[self.num_used :], strict=True))


def _split(
    graph: fx.GraphModule, num_vectors: int, num_written: int
) -> tuple[fx.GraphModule, fx.Graph, list[fx.Node]]:
    """A graph cut in two.

    Returns:
        What is computed of numbers alone, with those that vectors need and then the new ones as its results; what is
        computed of vectors, and of these numbers; the nodes of the numbers that vectors need.
    """
    nodes = list(graph.graph.nodes)
    placeholders = [node for node in nodes if node.op == "placeholder"]
    (outputs,) = next(node for node in nodes if node.op == "output").args
    alone = set(placeholders[num_vectors:])
    for node in nodes:
        if (node.op == "get_attr" and getattr(graph, str(node.target)).dim() == 0) or (
            node.op == "call_function" and node.meta["tensor"][0] == () and alone >= set(node.all_input_nodes)
        ):
            alone.add(node)
    written, new = outputs[:num_written], outputs[num_written:]
    if any(_has_length(node) for node in nodes):
        raise Unsupported("a tensor as long as the vectors that is made from nothing")
    if any(node in alone for node in written) or any(node not in alone for node in new):
        raise Unsupported("a vector that is one number, or a number that is computed from vectors")
    kept = [
        node
        for node in nodes
        if node in alone and any(user not in alone and user.op != "output" for user in node.users)
    ]
    numbers, over = fx.Graph(), fx.Graph()
    of_number: dict[fx.Node, fx.Node] = {}
    of_vector: dict[fx.Node, fx.Node] = {}
    for node in nodes:
        if node in alone:
            of_number[node] = numbers.node_copy(node, of_number.__getitem__)
        elif node.op == "placeholder":
            of_vector[node] = over.node_copy(node)
    for i, node in enumerate(kept):
        of_vector[node] = over.placeholder(f"number_{i}")
        of_vector[node].meta["tensor"] = ((), torch.float32)
    for node in nodes:
        if node not in alone and node.op not in ("placeholder", "output"):
            of_vector[node] = over.node_copy(node, of_vector.__getitem__)
    numbers.output(tuple(of_number[node] for node in (*kept, *new)))
    over.output(tuple(of_vector[node] for node in written))
    return fx.GraphModule(graph, numbers), over, kept


def _has_length(node: fx.Node) -> bool:
    """Whether the length of the examples is written into an operation, which then fits no other."""
    found: list[object] = [*node.args, *node.kwargs.values()]
    return any(each == SIZE or (isinstance(each, list | tuple) and SIZE in each) for each in found)
