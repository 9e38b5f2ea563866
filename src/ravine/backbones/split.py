"""A body in two parts: what comes before the first block that is trained, and what comes after.

A pass is written down as a graph whose nodes are whole modules (torch.fx). Where every way from the input to what is
trained leads through what one module is given, the network can be cut there, and each part carries its nodes out.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx, nn

from ravine import rng
from ravine.backbones.assembled import Assembled
from ravine.backbones.blocks import blocks
from ravine.backbones.cut import End, Reached

_BODY = "body"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """A body in two parts.

    Args:
        name: of the module of the body whose input lies between them.
        shape: of that input, of one example.
        before: in eval mode, (B, ...) -> (B, *shape).
        after: what `before` returns -> what the body returns; its tensors are named as in the body.
        blocks: those of the whole body, see `ravine.backbones.blocks`.
        order: the names of the whole body's modules in the order of a pass.
    """

    name: str
    shape: tuple[int, ...]
    before: nn.Module = field(repr=False)
    after: nn.Module = field(repr=False)
    blocks: tuple[tuple[str, ...], ...] = field(repr=False)
    order: tuple[str, ...] = field(repr=False)

    def under(self, head: nn.Module) -> Assembled:
        """The second part with a head, in training mode: a network whose tensors are named as in the whole."""
        found = Assembled(copy.deepcopy(self.after), head)
        found.order, found.numbered = self.order, self.blocks
        return found.train()


def split(module: Assembled, trained: Collection[str], input_shape: tuple[int, ...]) -> Parts | None:
    """The parts of a body, cut as late as possible before all that is trained.

    Args:
        module: from `assembled`; it is of no other use afterwards.
        trained: names of the parameters that are trained.
        input_shape: of one example.

    Returns:
        None where it cannot be cut: nothing comes before, there is a way around each place, or its passes cannot be
        written down.
    """
    inside = f"{_BODY}."
    owners = {name.rpartition(".")[0].removeprefix(inside) for name in trained if name.startswith(inside)}
    place = next((name for name in module.order if name and name in owners), "")
    module.eval()
    ids = {id(param) for name, param in module.named_parameters(remove_duplicate=False) if name in trained}
    while place:
        found = _cut_before(module, place, ids)
        if found is not None and (shape := _shape_between(module, *found, input_shape)) is not None:
            before, after = found
            return Parts(
                name=place,
                shape=shape,
                before=before,
                after=after,
                blocks=blocks(module),
                order=module.order,
            )
        place = place.rpartition(".")[0]
    return None


class _Through(nn.Module):
    """A body whose pass ends at its cut."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> what the body returns."""
        try:
            found: Tensor = self.body(x)
        except Reached as reached:
            return reached.x
        return found


class _Tracer(fx.Tracer):
    """Writes a pass down; a module is a node unless it is named."""

    def __init__(self, opened: Collection[str]) -> None:
        super().__init__()
        self._opened = opened

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:  # noqa: ARG002 (fx's)
        return module_qualified_name not in self._opened


def _cut_before(
    module: Assembled, place: str, trained: Collection[int]
) -> tuple[fx.GraphModule, fx.GraphModule] | None:
    """The parts before and after what a module of the body is given."""
    ends = [name for name, each in module.body.named_modules() if isinstance(each, End)]
    opened = {_BODY, *_above(f"{_BODY}.{place}"), *(f"{_BODY}.{name}" for name in ends)}
    opened |= {above for name in ends for above in _above(f"{_BODY}.{name}")}
    graph = _written(module.body, opened)
    if graph is None:
        return None
    nodes = list(graph.nodes)
    first = next((node for node in nodes if (node.op, node.target) == ("call_module", place)), None)
    source = first.args[0] if first is not None and first.args else None
    if not isinstance(source, fx.Node) or source.op == "placeholder":
        return None
    end = next(node for node in nodes if node.op == "output")
    after, before = _piece(nodes, source, end.args[0]), _piece(nodes, nodes[0], source)
    if after is None or before is None:
        return None
    parts = fx.GraphModule(module.body, before), fx.GraphModule(module.body, after)
    if any(id(param) in trained for param in parts[0].parameters()):
        return None
    return parts


def _above(name: str) -> list[str]:
    """The modules that a module lies in.

    Example:
        >>> _above("body.blocks.5")
        ['body', 'body.blocks']
    """
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts))]


def _written(body: nn.Module, opened: Collection[str]) -> fx.Graph | None:
    """A pass of a body as a graph; None where it cannot be written down, or is another in training."""
    graphs, through = [], _Through(body)
    for training in (True, False):
        body.train(training)
        try:
            graphs.append(_Tracer(opened).trace(through))
        except Exception:  # noqa: BLE001 (whatever a network of the user's does with what is no tensor)
            return None
        finally:
            body.eval()
    in_training, graph = graphs
    if _plain(in_training) != _plain(graph) or any(map(_is_loose, graph.nodes)):
        return None
    for node in graph.nodes:
        if node.op in ("call_module", "get_attr"):
            if not str(node.target).startswith(f"{_BODY}."):
                return None  # a tensor that the pass made
            node.target = str(node.target).removeprefix(f"{_BODY}.")
    return graph


def _is_loose(node: fx.Node) -> bool:
    """Whether a node may change in place what others use, while nobody uses what it returns: no edge leads to it."""
    if node.users or node.op in ("placeholder", "output", "get_attr"):
        return False
    name = str(getattr(node.target, "__name__", node.target))
    return node.op == "call_module" or name.endswith("_") or bool(node.kwargs.get("inplace"))


def _plain(graph: fx.Graph) -> list[tuple[str, ...]]:
    return [(node.op, str(node.target), str(node.args), str(node.kwargs)) for node in graph.nodes]


def _piece(nodes: Sequence[fx.Node], source: fx.Node, result: object) -> fx.Graph | None:
    """What leads from a node to a result, as a graph; None where something beside it is needed."""
    if not isinstance(result, fx.Node):
        return None
    needed, waiting = {result}, [result]
    while waiting:
        node = waiting.pop()
        for each in node.all_input_nodes if node is not source else ():
            if each not in needed:
                needed.add(each)
                waiting.append(each)
    if source not in needed or any(node.op == "placeholder" and node is not source for node in needed):
        return None
    graph = fx.Graph()
    known = {source: graph.placeholder("x")}
    for node in nodes:
        if node in needed and node is not source:
            known[node] = graph.node_copy(node, known.__getitem__)
    graph.output(known[result])
    return graph


def _shape_between(
    module: Assembled, before: nn.Module, after: nn.Module, input_shape: tuple[int, ...]
) -> tuple[int, ...] | None:
    """The shape of what lies between two parts, of one example; None where they are not the whole, bit for bit."""
    x = rng.normal(rng.key(torch.arange(2), "split"), input_shape)
    through = _Through(module.body)
    with torch.no_grad():
        try:
            whole, between, again = through(x), before(x), before(x)
            kept = between.clone()
            found = after(between)
        except Exception:  # noqa: BLE001 (a pass that works for the whole alone)
            return None
        # A first layer that works in place would change what all runs are given.
        same = torch.equal(between, kept) and torch.equal(between, again) and torch.equal(found, whole)
    right = between.dtype == torch.float32 and len(between) == 2 and between.dim() > 1
    return tuple(between.shape[1:]) if same and right else None
