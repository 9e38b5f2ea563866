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

from ravine import aten

_ATEN = torch.ops.aten
# What changes a few places of a tensor, and how it is done in that tensor.
_PLACED = {_ATEN.index_copy.default: _ATEN.index_copy_.default}


def fold(module: fx.GraphModule, values: Sequence[Tensor], num_moving: int = 0) -> None:
    """Replace what does not change from step to step by its value.

    That is arithmetic on inputs that no step changes, and every view of a fixed input: a view of a state tensor
    sees what later steps write to it.

    Args:
        module: its graph is changed, and it gets a buffer for each value; the first inputs, which have fixed
            values, remain.
        values: these values; the same tensors, not copies, are given at every call.
        num_moving: so many of them, the first ones, are also changed by others.
    """
    graph = module.graph
    placeholders = [node for node in graph.nodes if node.op == "placeholder"]
    changed = {*aten.changed(graph), *placeholders[:num_moving]}
    known: dict[fx.Node, Tensor] = dict(zip(placeholders, values, strict=False))
    for number, node in enumerate(list(graph.nodes)):
        inputs = node.all_input_nodes
        if node.op != "call_function" or any(arg not in known for arg in inputs):
            continue
        if not aten.is_operation(node) or aten.writes(node):
            continue
        if not aten.is_view(node) and any(aten.root(each) in changed for each in (node, *inputs)):
            continue
        args, kwargs = fx.map_arg((node.args, node.kwargs), known.__getitem__)
        value = node.target(*args, **kwargs)
        if not isinstance(value, Tensor):
            continue
        name = f"folded_{number}"
        module.register_buffer(name, value)
        with graph.inserting_before(node):
            constant = graph.get_attr(name)
        root = aten.root(node)
        constant.meta.update(node.meta, root=constant if root is node else root)
        known[constant] = value
        node.replace_all_uses_with(constant)
        graph.erase_node(node)


def share(module: fx.GraphModule) -> None:
    """Let an operation that is there twice be carried out once; but a copy is made for one to be changed.

    Args:
        module: its graph is changed.
    """
    changed = aten.changed(module.graph)
    known: dict[tuple[object, ...], fx.Node] = {}
    readers: dict[fx.Node, list[tuple[object, ...]]] = {}  # of each root that something may change yet
    for node in list(module.graph.nodes):
        if not aten.is_operation(node):
            continue
        if aten.writes(node):  # what was read before is not what is read now
            for target in map(aten.root, aten.written(node)):
                for key in readers.pop(target, ()):
                    known.pop(key, None)
        elif aten.is_view(node) or (node not in changed and node.target is not _ATEN.clone.default):
            key = (node.target, repr(node.args), repr(node.kwargs))
            same = known.setdefault(key, node)
            if same is not node:
                node.replace_all_uses_with(same)
                module.graph.erase_node(node)
                continue
            for arg in node.all_input_nodes:
                if (root := aten.root(arg)) in changed:
                    readers.setdefault(root, []).append(key)


def write_through(module: fx.GraphModule) -> None:
    """Let operations write over a state tensor's old value, and elementwise ones over an argument's last use.

    Args:
        module: its graph is changed.
    """
    _turn_products(module.graph)
    _of_one_run(module.graph)
    _by_results(module.graph)
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
        while isinstance(product, fx.Node) and product.target in (
            _ATEN.view.default,
            _ATEN._unsafe_view.default,
        ):
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


def _of_one_run(graph: fx.Graph) -> None:
    """The gradient of the only row is that of the matrix: zeros need not be made for it to be copied into."""
    for node in [node for node in graph.nodes if node.target is _ATEN.select_backward.default]:
        grad, sizes, dim, index = node.args
        if sizes[0] == 1 and (dim, index) == (0, 0):
            with graph.inserting_before(node):
                whole = graph.call_function(_ATEN.unsqueeze.default, (grad, 0))
            whole.meta.update({key: each for key, each in node.meta.items() if key != "root"})
            node.replace_all_uses_with(whole)
            graph.erase_node(node)


def _by_results(graph: fx.Graph) -> None:
    """Where hardtanh is flat shows in its result as well as in its argument, which then need not be kept."""
    for node in [node for node in graph.nodes if node.target is _ATEN.hardtanh.default]:
        argument, limits = node.args[0], node.args[1:]
        for slope in list(argument.users):
            of_it = slope.target is _ATEN.hardtanh_backward.default and slope.args[1] is argument
            if of_it and slope.args[2:] == limits and slope.args[0] is not argument:
                slope.args = (slope.args[0], node, *limits)


def _shape(node: fx.Node) -> Any:
    like = node.meta.get("like")
    return None if like is None else like[0]


def _into_state(graph: fx.Graph) -> None:
    """``copy_(slot, index_copy(slot, ...))`` becomes ``index_copy_(slot, ...)``, if need be through views of them."""
    for copy in [node for node in graph.nodes if node.target is _ATEN.copy_.default]:
        slot, result = copy.args[0], copy.args[1]
        if not isinstance(result, fx.Node):
            continue
        source = aten.root(result)
        old = source.args[0] if source.target in _PLACED else None
        if not isinstance(old, fx.Node) or aten.root(old) is not slot:
            continue
        # A tensor of as many numbers in their own order is all of another one, whatever its shape.
        if any(_numel(node) != _numel(slot) for node in (result, source, old)):
            continue
        if _is_read(slot, source, copy):
            continue
        with graph.inserting_before(source):
            written = graph.call_function(_PLACED[source.target], source.args, source.kwargs)  # type: ignore[index]
        written.meta.update(source.meta, root=slot)
        copy.replace_all_uses_with(result)
        graph.erase_node(copy)
        source.replace_all_uses_with(written)
        graph.erase_node(source)


def _is_read(root: fx.Node, after: fx.Node, before: fx.Node) -> bool:
    """Whether an operation between two others reads some memory."""
    node = after.next
    while node is not before:
        if any(aten.root(arg) is root for arg in node.all_input_nodes):
            return True
        node = node.next
    return False


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
        if _is_read(aten.root(slot), source, copy):
            continue
        if any(arg is not slot and aten.root(arg) is aten.root(slot) for arg in source.all_input_nodes):
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
            last[_memory(arg)] = i
    for i, node in enumerate(order):
        for arg in node.all_input_nodes:
            root = _memory(arg)
            others = (each for each in node.all_input_nodes if each is not arg)
            apart = all(_memory(each) is not root for each in others)
            if last[root] == i and apart and _is_whole(arg, root) and _can_write(node, arg):
                written = _with_out(graph, node, arg)
                written.meta["over_argument"] = True
                node.replace_all_uses_with(written)
                graph.erase_node(node)
                last[root] = last.get(node, i)
                break


def _memory(node: fx.Node) -> fx.Node:
    """The node whose memory this one is, or is a view of."""
    return aten.root(node, apart=True)


def _is_whole(node: fx.Node, root: fx.Node) -> bool:
    """Whether a node shows all of a passing result, in its own or another shape."""
    if root.op != "call_function" or (aten.is_operation(root) and aten.is_view(root)):
        return False
    mine, all_of_it = node.meta.get("like"), root.meta.get("like")
    if mine is None or all_of_it is None:
        return node is root
    return bool(mine[0].numel() == all_of_it[0].numel())


def _with_out(graph: fx.Graph, node: fx.Node, out: fx.Node) -> fx.Node:
    found = _out_variant(node.target)
    assert found is not None, f"{node.target} cannot write to a given tensor"
    overload, name = found
    with graph.inserting_before(node):
        written = graph.call_function(overload, node.args, {**node.kwargs, name: out})
    written.meta.update(node.meta, root=aten.root(out), memory=_memory(out))
    return written


def _can_write(node: fx.Node, out: fx.Node) -> bool:
    """Whether the elementwise result of a node fits an existing tensor exactly."""
    if not aten.is_operation(node) or aten.name_of(node) not in aten.ELEMENTWISE:
        return False
    if _out_variant(node.target) is None:
        return False
    mine, theirs = _laid_out(node), _laid_out(out)
    return mine is not None and mine == theirs


def _laid_out(node: fx.Node) -> object:
    """How a block of numbers lies in memory, row by row or in another order; None for one with gaps."""
    like = node.meta.get("like")
    if like is not None or "strides" not in node.meta:
        return like
    (shape, dtype), strides = node.meta["tensor"], node.meta["strides"]
    size = 1
    for stride, num in sorted(zip(strides, shape, strict=True)):
        if num != 1 and stride != size:
            return None
        size *= num
    return shape, dtype, strides


@cache
def _out_variant(target: Any) -> tuple[Any, str] | None:
    """The overload that takes the same arguments and where to write, and that argument's name; None if none does.

    Overloads that PyTorch generated do not count: they compute a result and copy it.
    """
    wanted = [(arg.name, str(arg.type)) for arg in target._schema.arguments]
    for name in target.overloadpacket.overloads():
        overload = getattr(target.overloadpacket, name)
        arguments = overload._schema.arguments
        if torch.Tag.generated in overload.tags:
            continue
        if [(arg.name, str(arg.type)) for arg in arguments[:-1]] == wanted and arguments[-1].is_out:
            return overload, arguments[-1].name
    return None
