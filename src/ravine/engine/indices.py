"""Numbers of the data that a model looks something up with, checked before it is trained.

An embedding with too few rows would be noticed at the first batch with such a number, hours later perhaps. PyTorch then
raises on a processor and aborts on an accelerator; machine code counts it as divergence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ravine import rng
from ravine.data import Dataset, Examples
from ravine.dispatch import OperationMode
from ravine.engine.network import Network
from ravine.errors import ModelError

_CHUNK = 256  # examples that go through the model at once
_FEW = 8  # examples by which it is seen whether a model looks anything up with numbers of the data

_aten = torch.ops.aten
_BAGS = (_aten._embedding_bag.default, _aten._embedding_bag_forward_only.default)
# Operations that look up places of their first argument: (its dimension, the indices).
_LOOKUPS: Mapping[Any, Callable[..., tuple[int, Tensor]]] = {
    _aten.embedding.default: lambda _, places, *__, **___: (0, places),
    _aten.index_select.default: lambda _, dim, places: (dim, places),
    _aten.gather.default: lambda _, dim, places, **__: (dim, places),
    **dict.fromkeys(_BAGS, lambda _, places, *__, **___: (0, places)),
}
_OTHERS = (
    _aten.index.Tensor, _aten.scatter.src, _aten.scatter.value, _aten.scatter_.src, _aten.scatter_.value,
    _aten.scatter_add.default, _aten.scatter_add_.default, _aten.index_add.default, _aten.index_add_.default,
    _aten.index_put.default, _aten.index_put_.default,
)  # fmt: skip


class _Outside(IndexError):
    """An index that is outside its tensor."""


class _Watch(OperationMode):
    """Looks at the indices of every operation, and keeps them."""

    def __init__(self) -> None:
        super().__init__()
        self.indices: list[Tensor] = []

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _LOOKUPS or func in _OTHERS:
            for each in args[1:]:
                given = each if isinstance(each, list | tuple) else [each]
                self.indices += [t.clone() for t in given if isinstance(t, Tensor) and t.dtype == torch.int64]
        if func in _LOOKUPS:
            dim, places = _LOOKUPS[func](*args, **(kwargs or {}))
            size = args[0].shape[dim]
            outside = places[(places < 0) | (places >= size)]
            if outside.numel():
                raise _Outside(f"it looks up number {int(outside[0])} where there are 0 to {size - 1}")
        return func(*args, **(kwargs or {}))


def check_indices(network: Network, data: Dataset) -> None:
    """Refuse a model that looks up, for some example, what is not there. Its initial weights are taken.

    Args:
        network: the model.
        data: all parts are looked at, their inputs alone.

    Raises:
        ModelError: with the part of the data and the number.
    """
    with rng.keyed_init(0):
        module = network.make().eval()
    known = data.train
    few = max(1, min(_FEW, len(known) // 2))
    one, other = (
        _looked_up(module, network.dtype, known.some(rows)) for rows in (slice(few), slice(-few, None))
    )
    if one is not None and other is not None and len(one) == len(other) and all(map(torch.equal, one, other)):
        return  # whatever is looked up, it does not depend on the data
    for part in ("train", "validation", "test"):
        examples: Examples = getattr(data, part)
        for first in range(0, len(examples), _CHUNK):
            try:
                _pass(module, network.dtype, examples.some(slice(first, first + _CHUNK)), _Watch())
            except Exception as error:  # noqa: BLE001 (whatever else is wrong is said where it is rehearsed)
                if not _is_outside(error):
                    return
                said = str(error).strip().partition("\n")[0]
                raise ModelError(
                    f"model: {type(module).__name__} does not fit the data: {said}, in the {part} part; "
                    'normalize = "none" in data leaves numbers as they are'
                ) from None


def _looked_up(module: nn.Module, dtype: torch.dtype, x: Any) -> list[Tensor] | None:
    """All indices of a pass, in order; None: one was outside."""
    watch = _Watch()
    try:
        _pass(module, dtype, x, watch)
    except Exception as error:  # noqa: BLE001 (as above)
        if _is_outside(error):
            return None
    return watch.indices


def _is_outside(error: Exception) -> bool:
    """Whether an index was outside: some of PyTorch's operations say so in an error of a kind for all."""
    return isinstance(error, IndexError) or "out of bounds" in str(error)


def _pass(module: nn.Module, dtype: torch.dtype, x: Any, watch: _Watch) -> None:
    with torch.no_grad(), rng.keyed_draws(0, "indices"), watch:
        module(torch.tensor(x, dtype=dtype))
