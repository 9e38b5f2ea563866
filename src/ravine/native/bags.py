"""Sums and means of an embedding's rows, for bags of one size: those of a matrix of words."""

# ruff: noqa: ARG001 (each has the signature of PyTorch's)

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import fx

from ravine import aten
from ravine.native.expressions import Value
from ravine.native.lookups import embedding, embedding_backward
from ravine.native.lowering import Composite, Lowering
from ravine.native.tensors import Unsupported

_SUM, _MEAN = 0, 1


def _size(offsets: Any, num_words: int) -> int:
    """Of each bag: bags that begin at multiples of a number are of one size."""
    known = isinstance(offsets, fx.Node) and aten.is_operation(offsets) and aten.name_of(offsets) == "arange"
    numbers: tuple[Any, ...] = offsets.args if known else ()
    if len(numbers) != 3 or numbers[0] != 0 or numbers[1] != num_words or num_words % numbers[2]:
        raise Unsupported("an embedding bag of bags of several sizes")
    return int(numbers[2])


def _check(mode: int, by_frequency: bool, weights: Any, padding: int) -> None:
    if mode not in (_SUM, _MEAN) or by_frequency or weights is not None or padding >= 0:
        raise Unsupported("an embedding bag that does more than add rows up")


def _forward(
    low: Lowering, node: fx.Node, weight: Value, words: Value, offsets: Value, by_frequency: bool = False,
    mode: int = _SUM, sparse: bool = False, weights: Any = None, last: bool = False, padding: int = -1,
) -> tuple[Value | None, ...]:  # fmt: skip
    _check(mode, by_frequency, weights, padding)
    tensors, (num,), width = low.tensors, words.shape, weight.shape[1]
    size = _size(node.args[2], num)
    rows = tensors.reshaped(embedding(low, weight, tensors.real(words)), (num // size, size, width))
    total = tensors.reduced("add", rows, [1], False)
    return total if mode == _SUM else tensors.op("mul", total, 1.0 / size), None, None, None


def _backward(
    low: Lowering, node: fx.Node, grad: Value, words: Value, offsets: Value, bags: Any, sizes: Any, largest: Any,
    num_rows: int, by_frequency: bool, mode: int, sparse: bool, weights: Any, padding: int = -1,
) -> Value:  # fmt: skip
    _check(mode, by_frequency, weights, padding)
    tensors, (num,), width = low.tensors, words.shape, grad.shape[-1]
    size = _size(node.args[2], num)
    given = grad if mode == _SUM else tensors.op("mul", grad, 1.0 / size)
    wide = tensors.expanded(tensors.reshaped(given, (num // size, 1, width)), (num // size, size, width))
    words = tensors.reshaped(words, (num // size, size))
    return embedding_backward(low, node, wide, words, num_rows, -1)


BAGS: Mapping[str, Composite] = {
    "_embedding_bag": _forward,
    "_embedding_bag_forward_only": _forward,
    "_embedding_bag_backward": _backward,
}
