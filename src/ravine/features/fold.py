"""A frozen network as fewer, larger operations: its norms become part of its convolutions, and so do its activations.

The network is traced once in eval mode. A BatchNorm behind a convolution is a factor and a term of each channel; the
factor goes into the weights (in float64, rounded once), the term into the bias. oneDNN applies an activation, and adds
the input of a residual block, while a convolution's result is still in a core's caches. Pictures lie in memory pixel by
pixel (channels last). An uneven padding of one more at the end is that of a kernel with a row and a column of zeros
before its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from ravine import rng
from ravine.trace import Untraceable, recorded

TOLERANCE = 1e-4
"""Largest difference from the network as it is, by the largest of its outputs, before it is run as it is."""
_ATEN = torch.ops.aten


def folded(
    network: Callable[[Tensor], Tensor], batch_shape: tuple[int, ...]
) -> tuple[Callable[[Tensor], Tensor], bool]:
    """A frozen network on the CPU as a faster function of batches of one shape.

    Args:
        network: in eval mode, its parameters and buffers as they are to stay.
        batch_shape: of every batch, examples first.

    Returns:
        The function, and whether it is folded: a network that cannot be traced, or comes out otherwise, runs as it is.
    """
    example = _laid_out(rng.normal(rng.key(torch.arange(batch_shape[0]), "fold"), batch_shape[1:]))

    def as_it_is(x: Tensor) -> Tensor:
        return network(_laid_out(x))

    with torch.no_grad():
        try:
            graph, root = recorded(lambda x: (network(x),), [example])
        except Untraceable:
            return as_it_is, False
        _fold(graph, root)
        program = fx.GraphModule(root, graph)

        def fast(x: Tensor) -> Tensor:
            found: Tensor = program(_laid_out(x))[0]
            return found

        right = as_it_is(example)
        try:
            found = fast(example)
        except RuntimeError:  # what oneDNN was not made for on this machine
            return as_it_is, False
    near = found.shape == right.shape and bool((found - right).abs().max() <= TOLERANCE * right.abs().max())
    return (fast, True) if near else (as_it_is, False)


def _laid_out(x: Tensor) -> Tensor:
    """Pictures with the channels of a pixel side by side."""
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x.contiguous()


@dataclass(slots=True, kw_only=True)
class _Convolution:
    """A convolution with all that is done in one go with it."""

    x: fx.Node
    last: fx.Node  # whose result it gives
    weight: Tensor
    bias: Tensor
    stride: list[int]
    padding: list[int]
    dilation: list[int]
    groups: int
    added: fx.Node | None = None
    activation: tuple[str, list[float]] | None = None


def _fold(graph: fx.Graph, root: nn.Module) -> None:
    for number, node in enumerate(list(graph.nodes)):
        found = _convolution(node, root)
        if found is None:
            continue
        _norms(found, root)
        _addition(found)
        _activation(found)
        _padding(found)
        with graph.inserting_before(found.last):
            result = _emit(graph, root, found, number)
        found.last.replace_all_uses_with(result)
    graph.eliminate_dead_code()


def _convolution(node: fx.Node, root: nn.Module) -> _Convolution | None:
    if node.target is not _ATEN.convolution.default:
        return None
    x, weight, bias, stride, padding, dilation, transposed, _, groups = _args(node)
    kernel = _constant(weight, root)
    if transposed or kernel is None or kernel.ndim != 4 or kernel.dtype != torch.float32:
        return None
    term = _constant(bias, root) if bias is not None else torch.zeros(len(kernel))
    if term is None:
        return None
    return _Convolution(
        x=x,
        last=node,
        weight=kernel.double(),
        bias=term.double(),
        stride=list(stride),
        padding=list(padding),
        dilation=list(dilation),
        groups=groups,
    )


def _constant(node: Any, root: nn.Module) -> Tensor | None:
    """The tensor of a node that is the same in every pass."""
    if isinstance(node, fx.Node) and node.op == "get_attr":
        found: Tensor = getattr(root, str(node.target))
        return found.detach()
    return None


def _args(node: fx.Node) -> tuple[Any, ...]:
    """What an operation is given; its schema says what that is, not its type."""
    return node.args


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _norms(found: _Convolution, root: nn.Module) -> None:
    """Take up a BatchNorm with its own statistics."""
    norm = _only_user(found.last)
    if norm is None or norm.target is not _ATEN.native_batch_norm.default or norm.args[0] is not found.last:
        return
    _, scale, shift, mean, var, training, _, eps = _args(norm)
    result = _only_user(norm)
    mean_C, var_C = _constant(mean, root), _constant(var, root)
    if training or result is None or result.args[1] != 0 or mean_C is None or var_C is None:
        return
    scale_C = torch.ones_like(mean_C) if scale is None else _constant(scale, root)
    shift_C = torch.zeros_like(mean_C) if shift is None else _constant(shift, root)
    if scale_C is None or shift_C is None:
        return
    factor_C = scale_C.double() / (var_C.double() + eps).sqrt()
    found.weight = found.weight * factor_C[:, None, None, None]
    found.bias = (found.bias - mean_C.double()) * factor_C + shift_C.double()
    found.last = result


def _addition(found: _Convolution) -> None:
    """Take up the addition of a residual block's input."""
    add = _only_user(found.last)
    if add is None or add.target is not _ATEN.add.Tensor or add.kwargs or len(add.args) != 2:
        return
    other = add.args[0] if add.args[1] is found.last else add.args[1]
    if not isinstance(other, fx.Node) or other is found.last:
        return
    if other.meta.get("tensor") == found.last.meta.get("tensor"):
        found.added, found.last = other, add


def _activation(found: _Convolution) -> None:
    """Take up a ReLU, or a clamp such as ReLU6."""
    node = _only_user(found.last)
    if node is None or node.args[:1] != (found.last,):
        return
    if node.target in (_ATEN.relu.default, _ATEN.relu_.default):
        found.activation = "relu", []
    elif node.target in (_ATEN.hardtanh.default, _ATEN.hardtanh_.default) and found.added is None:
        given = _args(node)[1:]
        limits = [*given, *[-1.0, 1.0][len(given) :]]
        found.activation = "hardtanh", [float(each) for each in limits]
    else:
        return
    found.last = node


def _padding(found: _Convolution) -> None:
    """Take up padding with zeros that is even, or by one more at the end."""
    pad = found.x
    if pad.target is not _ATEN.constant_pad_nd.default or found.dilation != [1, 1]:
        return
    (x, amounts), value = _args(pad)[:2], _args(pad)[2:]
    if any(value) or len(amounts) != 4 or min(amounts) < 0:
        return
    left, right, top, bottom = amounts
    before, after = (top, left), (bottom, right)
    if any(late - early not in (0, 1) for early, late in zip(before, after, strict=True)):
        return
    more = [late - early for early, late in zip(before, after, strict=True)]
    found.weight = F.pad(found.weight, (more[1], 0, more[0], 0))
    found.padding = [own + late for own, late in zip(found.padding, after, strict=True)]
    found.x = x


def _emit(graph: fx.Graph, root: nn.Module, found: _Convolution, number: int) -> fx.Node:
    """The operations of a convolution with all that it took up."""
    weight, bias = found.weight.float(), found.bias.float()
    layout = weight.contiguous(memory_format=torch.channels_last)
    root.register_buffer(f"folded_weight_{number}", layout)
    root.register_buffer(f"folded_bias_{number}", bias)
    w, b = graph.get_attr(f"folded_weight_{number}"), graph.get_attr(f"folded_bias_{number}")
    how = (found.padding, found.stride, found.dilation, found.groups)
    word, numbers = found.activation or ("none", [])
    if torch.backends.mkldnn.is_available():
        fused = torch.ops.mkldnn._convolution_pointwise
        if found.added is not None:
            unary = None if word == "none" else word
            args = (found.x, found.added, w, b, *how, "add", 1.0, unary, numbers, "")
            return graph.call_function(fused.binary, args)
        return graph.call_function(fused.default, (found.x, w, b, *how, word, numbers, ""))
    plain = (found.x, w, b, found.stride, found.padding, found.dilation, False, [0, 0], found.groups)
    node = graph.call_function(_ATEN.convolution.default, plain)
    if found.added is not None:
        node = graph.call_function(_ATEN.add.Tensor, (node, found.added))
    if word == "relu":
        node = graph.call_function(_ATEN.relu_.default, (node,))
    elif word == "hardtanh":
        node = graph.call_function(_ATEN.hardtanh_.default, (node, *numbers))
    return node
