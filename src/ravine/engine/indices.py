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
from ravine.data import Dataset
from ravine.dispatch import OperationMode
from ravine.engine.network import Network
from ravine.errors import ModelError

_CHUNK = 256  # examples that go through the model at once

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
    """Looks at the indices of every operation."""

    def __init__(self) -> None:
        super().__init__()
        self.looks_up = False

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _LOOKUPS:
            self.looks_up = True
            dim, places = _LOOKUPS[func](*args, **(kwargs or {}))
            size = args[0].shape[dim]
            outside = places[(places < 0) | (places >= size)]
            if outside.numel():
                raise _Outside(f"it looks up number {int(outside[0])} where there are 0 to {size - 1}")
        self.looks_up = self.looks_up or func in _OTHERS
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
    watch = _Watch()
    try:
        _pass(module, data.train.x[:2], watch)
    except Exception:  # noqa: BLE001 (whatever else is wrong with it is found, and said, where it is rehearsed)
        if not watch.looks_up:
            return
    if not watch.looks_up:
        return
    for part in ("train", "validation", "test"):
        x = getattr(data, part).x
        for first in range(0, len(x), _CHUNK):
            try:
                _pass(module, x[first : first + _CHUNK], watch)
            except Exception as error:  # noqa: BLE001 (as above)
                if not _is_outside(error):
                    return
                said = str(error).strip().partition("\n")[0]
                raise ModelError(
                    f"model: {type(module).__name__} does not fit the data: {said}, in the {part} part; "
                    'normalize = "none" in data leaves numbers as they are'
                ) from None


def _is_outside(error: Exception) -> bool:
    """Whether an index was outside: some of PyTorch's operations say so in an error of a kind for all."""
    return isinstance(error, IndexError) or "out of bounds" in str(error)


def _pass(module: nn.Module, x: Any, watch: _Watch) -> None:
    with torch.no_grad(), rng.keyed_draws(0, "indices"), watch:
        module(torch.as_tensor(x).clone())
