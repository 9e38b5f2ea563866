"""BatchNorm whose statistics no longer move."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

from ravine.errors import ModelError
from ravine.nn.norms import BatchNorm

M = TypeVar("M", bound=nn.Module)


class _Frozen(BatchNorm):
    """In eval mode whatever `train` is called with."""

    def train(self, mode: bool = True) -> _Frozen:  # noqa: ARG002 (nn.Module's argument)
        super().train(False)
        return self


class FrozenBatchNorm1d(_Frozen, nn.BatchNorm1d):
    """A `torch.nn.BatchNorm1d` that `freeze_norms` has frozen."""


class FrozenBatchNorm2d(_Frozen, nn.BatchNorm2d):
    """A `torch.nn.BatchNorm2d` that `freeze_norms` has frozen."""


class FrozenBatchNorm3d(_Frozen, nn.BatchNorm3d):
    """A `torch.nn.BatchNorm3d` that `freeze_norms` has frozen."""


_FROZEN: dict[type[BatchNorm], type[_Frozen]] = {
    nn.BatchNorm1d: FrozenBatchNorm1d,
    nn.BatchNorm2d: FrozenBatchNorm2d,
    nn.BatchNorm3d: FrozenBatchNorm3d,
}


def _frozen(kind: type[BatchNorm]) -> type[_Frozen]:
    """The class of a frozen norm; of a class that somebody made from PyTorch's, one with its own forward pass."""
    if kind not in _FROZEN:
        _FROZEN[kind] = type(f"Frozen{kind.__name__}", (_Frozen, kind), {})
    return _FROZEN[kind]


def freeze_norms(module: M, *, parameters: bool = False) -> M:
    """Let the BatchNorms of a module normalize by their running statistics from now on, in training too.

    PyTorch's stay in eval mode only until the next `train()`. These survive it: their statistics don't change by a
    bit. Scales and shifts go on learning unless `parameters` is true.

    Args:
        module: changed in place.
        parameters: whether scales and shifts are frozen too.

    Returns:
        The module.

    Raises:
        ModelError: a BatchNorm has no running statistics, or is none of PyTorch's for one process.

    Example:
        >>> import torch
        >>> net = freeze_norms(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))).train()
        >>> before = net[1].running_mean.clone()
        >>> _ = net(torch.randn(8, 2))
        >>> net[1].training, torch.equal(net[1].running_mean, before)
        (False, True)
    """
    norms = [(name, each) for name, each in module.named_modules() if isinstance(each, BatchNorm)]
    for name, each in norms:
        if each.running_mean is None:
            raise ModelError(f"freeze_norms: {name!r} has no running statistics (track_running_stats=False)")
        if not isinstance(each, (_Frozen, *_FROZEN)):
            raise ModelError(
                f"freeze_norms: {name!r} is a {type(each).__name__}; only BatchNorm1d, 2d, 3d and classes made from "
                "them are frozen"
            )
    for _, each in norms:
        if not isinstance(each, _Frozen):
            each.__class__ = _frozen(type(each))
        each.eval()
        if parameters:
            each.requires_grad_(False)
    return module
