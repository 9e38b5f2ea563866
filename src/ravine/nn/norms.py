"""What BatchNorm layers see: the moments of their inputs, and those of many batches together.

Shapes: R run, K part, C channel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

BatchNorm = nn.modules.batchnorm._BatchNorm
"""The base of all of PyTorch's."""
_SHORT = (torch.float16, torch.bfloat16)  # types in which a sum over a batch loses digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a norm in a pass.

    Args:
        norm: its name in the module.
        channels: C.
        per_example: numbers of a channel that an example has.
    """

    norm: str
    channels: int
    per_example: int


Noted = list[tuple[Call, Tensor, Tensor]]
"""Calls, each with the mean and the biased variance of its input, (C,)."""


def estimated_norms(module: nn.Module) -> dict[str, BatchNorm]:
    """The norms whose statistics training brings up to date, so that they have to suit its weights, by name."""
    return {
        name: each
        for name, each in module.named_modules()
        if isinstance(each, BatchNorm) and each.training and each.running_mean is not None
    }


@contextmanager
def noting(module: nn.Module, norms: Mapping[str, BatchNorm]) -> Iterator[Noted]:
    """Within it, a module evaluates, but for some norms: they normalize each batch by itself, as in training.

    Yields:
        The list in which they note what goes into them.
    """
    modes = {each: each.training for each in module.modules()}
    noted: Noted = []
    module.eval()
    hooks = []
    for name, norm in norms.items():
        norm.train()

        def note(_: nn.Module, given: tuple[Tensor, ...], name: str = name) -> None:
            x = given[0].float() if given[0].dtype in _SHORT else given[0]
            shape = [1, x.shape[1], *[1] * (x.dim() - 2)]
            dims = [dim for dim in range(x.dim()) if dim != 1]
            mean_C = x.mean(dims)
            variance_C = (x - mean_C.view(shape)).square().mean(dims)
            per_example = x.numel() // (x.shape[0] * x.shape[1])
            noted.append((Call(norm=name, channels=x.shape[1], per_example=per_example), mean_C, variance_C))

        hooks.append(norm.register_forward_pre_hook(note))
    try:
        yield noted
    finally:
        for hook in hooks:
            hook.remove()
        noted.clear()
        for each, training in modes.items():
            each.training = training


def pooled(counts: Sequence[int], mean_RKC: Tensor, variance_RKC: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of all numbers together, from those of K parts, in float64: (R, C).

    ``mu = sum n_k mu_k / n``, ``v = sum n_k (v_k + (mu_k - mu)^2) / n``: no difference of large squares.

    Args:
        counts: of each part how many numbers it has.
        mean_RKC: their means.
        variance_RKC: their biased variances.

    Example:
        >>> mean, variance = pooled([1, 3], torch.tensor([[[1.0], [5.0]]]), torch.tensor([[[0.0], [1.0]]]))
        >>> mean.item(), variance.item()
        (4.0, 3.75)
    """
    total = sum(counts)
    share_K1 = torch.tensor([num / total for num in counts], dtype=torch.float64)[:, None].to(mean_RKC.device)
    means = mean_RKC.double()
    mean_RC = (share_K1 * means).sum(1)
    return mean_RC, (share_K1 * (variance_RKC.double() + (means - mean_RC[:, None]).square())).sum(1)
