"""Norms that are frozen become part of the convolutions before them, for as long as a step takes.

A frozen BatchNorm is ``y = a z + c`` with ``a = weight / sqrt(var + eps)`` and ``c = bias - a mean``. A convolution
with the weights a W and the bias c makes y at once. What flows back through both flows back through that one, and the
gradient of W is a times the gradient of its weights. So a pass over all channels is saved forward, and more backward.

Shapes: C channel.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

_ATEN = torch.ops.aten
_NORM, _NORM_BACK = _ATEN.native_batch_norm.default, _ATEN.native_batch_norm_backward.default
_CONVOLVE, _CONVOLVE_BACK = _ATEN.convolution.default, _ATEN.convolution_backward.default


def fold_norms(graph: fx.Graph) -> None:
    """Fold frozen norms into convolutions.

    Args:
        graph: of a traced step; it is changed. Every node knows its shape and dtype (see `ravine.trace`).
    """
    for norm in [node for node in graph.nodes if node.target is _NORM]:
        _fold(graph, norm)
    graph.eliminate_dead_code()


def _fold(graph: fx.Graph, norm: fx.Node) -> None:
    convolution, weight, bias, mean, var, training, _, eps = norm.args
    if training or not isinstance(convolution, fx.Node) or not isinstance(weight, fx.Node):
        return
    backward = next((node for node in convolution.users if node.target is _NORM_BACK), None)
    users = {norm} if backward is None else {norm, backward}
    if convolution.target is not _CONVOLVE or convolution.args[2] is not None or convolution.args[6]:
        return
    if set(convolution.users) != users:
        return
    kernel = convolution.args[1]
    onward = None  # what goes on from the norm's gradient
    if backward is not None:
        slopes = list(backward.users)
        users_of_slopes = [user for slope in slopes for user in slope.users]
        wanted: Any = backward.args[9]
        if len(slopes) != 1 or len(users_of_slopes) != 1 or list(wanted) != [True, False, False]:
            return
        [slope], [onward] = slopes, users_of_slopes
        same = onward.target is _CONVOLVE_BACK and onward.args[0] is slope and onward.args[2] is kernel
        if not same or onward.args[10][2]:  # type: ignore[index]
            return
    assert isinstance(kernel, fx.Node), "a kernel is a tensor"
    assert isinstance(var, fx.Node), "so is a variance"

    def made(like: fx.Node, target: Any, *args: Any) -> fx.Node:
        node = graph.call_function(target, args)
        node.meta.update(
            {name: like.meta[name] for name in ("tensor", "like", "strides") if name in like.meta}
        )
        return node

    with graph.inserting_before(norm):
        deviation = made(var, _ATEN.rsqrt.default, made(var, _ATEN.add.Tensor, var, eps))
        factor = made(var, _ATEN.mul.Tensor, deviation, weight)
        shift = made(var, _ATEN.sub.Tensor, bias, made(var, _ATEN.mul.Tensor, mean, factor))
        (channels,), dtype = var.meta["tensor"]
        ones = [1] * (len(kernel.meta["tensor"][0]) - 1)
        column = graph.call_function(_ATEN.view.default, (factor, [-1, *ones]))
        column.meta["tensor"] = (channels, *ones), dtype
        scaled = made(kernel, _ATEN.mul.Tensor, kernel, column)
        both = made(convolution, _CONVOLVE, *_with(_with(convolution.args, 1, scaled), 2, shift))
    for item in list(norm.users):
        if item.args[1] == 0:
            item.replace_all_uses_with(both)
    if backward is None or onward is None:
        return
    onward.args = _with(_with(onward.args, 0, backward.args[0]), 2, scaled)
    for item in list(onward.users):
        if item.args[1] == 1:
            with graph.inserting_after(item):
                whole = made(item, _ATEN.mul.Tensor, item, column)
            item.replace_all_uses_with(whole)
            whole.args = (item, column)


def _with(args: tuple[Any, ...], place: int, value: Any) -> tuple[Any, ...]:
    return (*args[:place], value, *args[place + 1 :])
