"""Makes a traced graph cheaper to carry out, with the same bits: less called, less written, less fresh memory.

`fold` computes once what is the same at every step; `write_through` lets an operation write its result where it
is wanted: over the old value of a state tensor, or over an argument that nobody needs any more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, fx

_ATEN = torch.ops.aten
# Views in fact, though their schemas do not say so.
_HIDDEN_VIEWS = (_ATEN._unsafe_view.default,)
# Writes to running statistics, its arguments 3 and 4, though its schema does not say so.
_NORM = _ATEN.native_batch_norm.default
# Each number of the result depends on the same place of every argument of the result's shape alone.
_ELEMENTWISE = {
    _ATEN.add.Tensor, _ATEN.sub.Tensor, _ATEN.mul.Tensor, _ATEN.div.Tensor, _ATEN.addcmul.default,
    _ATEN.addcdiv.default, _ATEN.lerp.Tensor, _ATEN.sqrt.default, _ATEN.rsqrt.default, _ATEN.exp.default,
    _ATEN.log.default, _ATEN.neg.default, _ATEN.reciprocal.default, _ATEN.pow.Tensor_Scalar, _ATEN.abs.default,
    _ATEN.sign.default, _ATEN.tanh.default, _ATEN.sigmoid.default, _ATEN.maximum.default, _ATEN.minimum.default,
    _ATEN.relu.default, _ATEN.clamp_min.default, _ATEN.threshold_backward.default,
}  # fmt: skip


# What changes a few places of a tensor, and how it is done in that tensor.
_PLACED = {_ATEN.index_copy.default: _ATEN.index_copy_.default}


def fold(module: fx.GraphModule, values: Sequence[Tensor]) -> None:
    """Replace what does not change from step to step by its value.

    That is arithmetic on inputs that no step changes, and every view of a fixed input: a view of a state tensor
    sees what later steps write to it.

    Args:
        module: its graph is changed, and it gets a buffer for each value; the first inputs, which have fixed
            values, remain.
        values: these values; the same tensors, not copies, are given at every call.
    """
    graph = module.graph
    changed = _changed(graph)
    placeholders = [node for node in graph.nodes if node.op == "placeholder"]
    known: dict[fx.Node, Tensor] = dict(zip(placeholders, values, strict=False))
    for number, node in enumerate(list(graph.nodes)):
        inputs = node.all_input_nodes
        if node.op != "call_function" or any(arg not in known for arg in inputs):
            continue
        if not _is_operation(node) or _writes(node):
            continue
        if not _is_view(node) and any(_root(each) in changed for each in (node, *inputs)):
            continue
        args, kwargs = fx.map_arg((node.args, node.kwargs), known.__getitem__)
        value = node.target(*args, **kwargs)
        if not isinstance(value, Tensor):
            continue
        name = f"folded_{number}"
        module.register_buffer(name, value)
        with graph.inserting_before(node):
            constant = graph.get_attr(name)
        root = _root(node)
        constant.meta.update(node.meta, root=constant if root is node else root)
        known[constant] = value
        node.replace_all_uses_with(constant)
        graph.erase_node(node)


def share(module: fx.GraphModule) -> None:
    """Let an operation that is there twice be carried out once; but a copy is made for one to be changed.

    Args:
        module: its graph is changed.
    """
    changed = _changed(module.graph)
    known: dict[tuple[object, ...], fx.Node] = {}
    for node in list(module.graph.nodes):
        if not _is_operation(node):
            continue
        if _writes(node):  # what was read before is not what is read now
            targets = set(map(_root, _written(node)))
            known = {
                key: each
                for key, each in known.items()
                if all(_root(arg) not in targets for arg in each.all_input_nodes)
            }
        elif _is_view(node) or (node not in changed and node.target is not _ATEN.clone.default):
            same = known.setdefault((node.target, repr(node.args), repr(node.kwargs)), node)
            if same is not node:
                node.replace_all_uses_with(same)
                module.graph.erase_node(node)


def write_through(module: fx.GraphModule) -> None:
    """Let operations write over a state tensor's old value, and elementwise ones over an argument's last use.

    Args:
        module: its graph is changed.
    """
    _turn_products(module.graph)
    _into_state(module.graph)
    _over_state(module.graph)
    _over_arguments(module.graph)
    module.graph.eliminate_dead_code()
    module.recompile()


def _turn_products(graph: fx.Graph) -> None:
    """``(a b)^T`` becomes ``b^T a^T``: the same numbers, laid out in the order in which they are wanted.

    Autograd's gradient of a weight comes out transposed, and turning it round costs half as much as the product.
    """
    for node in [
        node for node in graph.nodes if node.target is _ATEN.transpose.int and node.args[1:] == (1, 2)
    ]:
        product = node.args[0]
        while isinstance(product, fx.Node) and product.target in (_ATEN.view.default, *_HIDDEN_VIEWS):
            inner = product.args[0]
            if len(product.users) > 1 or not isinstance(inner, fx.Node) or _shape(inner) != _shape(product):
                break
            product = inner
        if (
            not isinstance(product, fx.Node)
            or product.target is not _ATEN.bmm.default
            or len(product.users) > 1
        ):
            continue
        with graph.inserting_before(node):
            left, right = (graph.call_function(_ATEN.transpose.int, (arg, 1, 2)) for arg in product.args)
            turned = graph.call_function(_ATEN.bmm.default, (right, left))
        like = product.meta.get("like")
        if like is not None:
            num, rows, columns = like[0]
            turned.meta["like"] = (torch.Size((num, columns, rows)), *like[1:])
        node.replace_all_uses_with(turned)
        graph.erase_node(node)


def _shape(node: fx.Node) -> Any:
    like = node.meta.get("like")
    return None if like is None else like[0]


def _into_state(graph: fx.Graph) -> None:
    """``copy_(slot, index_copy(slot, ...))`` becomes ``index_copy_(slot, ...)``, if need be through views of them."""
    place = {node: i for i, node in enumerate(graph.nodes)}
    for copy in [node for node in graph.nodes if node.target is _ATEN.copy_.default]:
        slot, result = copy.args[0], copy.args[1]
        if not isinstance(result, fx.Node):
            continue
        source = _root(result)
        old = source.args[0] if source.target in _PLACED else None
        if not isinstance(old, fx.Node) or _root(old) is not slot:
            continue
        # A tensor of as many numbers in their own order is all of another one, whatever its shape.
        if any(_numel(node) != _numel(slot) for node in (result, source, old)):
            continue
        readers = [node for node in graph.nodes if any(_root(arg) is slot for arg in node.all_input_nodes)]
        if any(place[source] < place[node] < place[copy] for node in readers):
            continue
        with graph.inserting_before(source):
            written = graph.call_function(_PLACED[source.target], source.args, source.kwargs)  # type: ignore[index]
        written.meta.update(source.meta, root=slot)
        place[written] = place[source]
        copy.replace_all_uses_with(result)
        graph.erase_node(copy)
        source.replace_all_uses_with(written)
        graph.erase_node(source)


def _numel(node: fx.Node) -> int | None:
    """How many numbers it has, side by side; None for no plain block of them."""
    shape = _shape(node)
    return None if shape is None else math.prod(shape)


def _over_state(graph: fx.Graph) -> None:
    """``copy_(slot, op(...))`` becomes ``op(..., out=slot)`` where the old value is not read any more."""
    place = {node: i for i, node in enumerate(graph.nodes)}
    for copy in [node for node in graph.nodes if node.target is _ATEN.copy_.default]:
        slot, source = copy.args[0], copy.args[1]
        if not isinstance(source, fx.Node) or not _can_write(source, slot) or place[slot] > place[source]:
            continue
        readers = [
            node for node in graph.nodes if any(_root(arg) is _root(slot) for arg in node.all_input_nodes)
        ]
        if any(place[source] < place[node] < place[copy] for node in readers):
            continue
        if any(arg is not slot and _root(arg) is _root(slot) for arg in source.all_input_nodes):
            continue
        written = _with_out(graph, source, slot)
        place[written] = place[source]
        copy.replace_all_uses_with(written)
        graph.erase_node(copy)
        source.replace_all_uses_with(written)
        graph.erase_node(source)


def _over_arguments(graph: fx.Graph) -> None:
    """``op(x, ...)`` becomes ``op(x, ..., out=x)`` where x is a passing result that is not used again."""
    order = list(graph.nodes)
    last: dict[fx.Node, int] = {}
    for i, node in enumerate(order):
        for arg in node.all_input_nodes:
            last[_root(arg)] = i
    for i, node in enumerate(order):
        for arg in node.all_input_nodes:
            root = _root(arg)
            others = (each for each in node.all_input_nodes if each is not arg)
            apart = all(_root(each) is not root for each in others)
            if last[root] == i and apart and _is_whole(arg, root) and _can_write(node, arg):
                written = _with_out(graph, node, arg)
                node.replace_all_uses_with(written)
                graph.erase_node(node)
                last[root] = last.get(node, i)
                break


def _is_whole(node: fx.Node, root: fx.Node) -> bool:
    """Whether a node shows all of a passing result, in its own or another shape."""
    if root.op != "call_function" or not _is_operation(root) or _is_view(root):
        return False
    mine, all_of_it = node.meta.get("like"), root.meta.get("like")
    return mine is not None and all_of_it is not None and mine[0].numel() == all_of_it[0].numel()


def _with_out(graph: fx.Graph, node: fx.Node, out: fx.Node) -> fx.Node:
    found = _out_variant(node.target)
    assert found is not None, f"{node.target} cannot write to a given tensor"
    overload, name = found
    with graph.inserting_before(node):
        written = graph.call_function(overload, node.args, {**node.kwargs, name: out})
    written.meta.update(node.meta, root=_root(out))
    return written


def _can_write(node: fx.Node, out: fx.Node) -> bool:
    """Whether the elementwise result of a node fits an existing tensor exactly."""
    if node.target not in _ELEMENTWISE or _out_variant(node.target) is None:
        return False
    mine, theirs = node.meta.get("like"), out.meta.get("like")
    return mine is not None and mine == theirs


@cache
def _out_variant(target: Any) -> tuple[Any, str] | None:
    """The overload that takes the same arguments and where to write, and that argument's name; None if none does."""
    wanted = [(arg.name, str(arg.type)) for arg in target._schema.arguments]
    for name in target.overloadpacket.overloads():
        overload = getattr(target.overloadpacket, name)
        arguments = overload._schema.arguments
        if [(arg.name, str(arg.type)) for arg in arguments[:-1]] == wanted and arguments[-1].is_out:
            return overload, arguments[-1].name
    return None


def _root(node: fx.Node) -> fx.Node:
    """The node whose memory this one shows; several results of one operation are taken for one memory."""
    while True:
        if "root" in node.meta:
            return node.meta["root"]  # type: ignore[no-any-return]
        if node.op != "call_function":
            return node
        if _is_view(node) or not _is_operation(node):
            node = node.args[0]  # type: ignore[assignment]
        elif _writes(node) and any(ret.alias_info is not None for ret in _schema(node).returns):
            node = _written(node)[0]
        else:
            return node


def _changed(graph: fx.Graph) -> set[fx.Node]:
    """The roots that some operation of the graph writes to."""
    return {_root(arg) for node in graph.nodes if _writes(node) for arg in _written(node)}


def _written(node: fx.Node) -> list[fx.Node]:
    """The arguments that an operation writes to."""
    if node.target is _NORM:
        return [arg for arg in node.args[3:5] if isinstance(arg, fx.Node)]
    named = [argument.name for argument in _schema(node).arguments]
    given = {**dict(zip(named, node.args, strict=False)), **node.kwargs}
    found: list[fx.Node] = []
    for argument in _schema(node).arguments:
        if argument.alias_info is not None and argument.alias_info.is_write:
            fx.map_arg(given.get(argument.name), found.append)
    return found


def _is_operation(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload)


def _writes(node: fx.Node) -> bool:
    return _is_operation(node) and (_schema(node).is_mutable or node.target is _NORM)


def _schema(node: fx.Node) -> Any:
    return node.target._schema  # type: ignore[union-attr]


def _is_view(node: fx.Node) -> bool:
    if not _is_operation(node) or _writes(node):
        return False
    return node.target in _HIDDEN_VIEWS or any(ret.alias_info is not None for ret in _schema(node).returns)
