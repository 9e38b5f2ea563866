"""BatchNorm's statistics for weights that training never evaluated: estimated again from the training data.

Shapes: R run, P numbers of one run, N example, B batch, C channel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property

import torch
from torch import Tensor, nn

from ravine import rng
from ravine.engine.network import Network
from ravine.engine.objective import channels_last

_Norm = nn.modules.batchnorm._BatchNorm
_Seen = dict[str, list[tuple[int, Tensor, Tensor]]]
"""By norm: how many numbers of a channel went in at once, their mean and their biased variance, (C,)."""


class Statistics:
    """The statistics that a model's norms have on the training data.

    Each batch is normalized by itself, as in training, and all else is as in evaluation: nothing is dropped, and norms
    that training leaves alone keep their statistics. Means and biased variances are those of all examples together.
    The order of the examples is fixed, and every run is taken alone, so no bit depends on its neighbours.

    Args:
        network: the model.
        x: examples of the training set.
        batch_size: examples in a batch, at least; a rest too small for a batch of its own is shared out.
        most: how many of the examples are used; None: all.
    """

    def __init__(self, network: Network, x: Tensor, batch_size: int, most: int | None = None) -> None:
        self._network, self._x, self._batch_size, self._most = network, x, batch_size, most
        self._norms = {name: module for name, module in network.module.named_modules() if _estimated(module)}

    def __bool__(self) -> bool:
        """Whether the model has such norms."""
        return bool(self._norms)

    def estimate(
        self, params_RP: Tensor, others: Mapping[str, Tensor], rows: Sequence[int], *, one_thread: bool
    ) -> dict[str, Tensor]:
        """Every other tensor of the model, (R, ...) by name, with the statistics for these weights.

        Args:
            params_RP: the weights.
            others: every other tensor, (R, ...) by name; it stays as it is.
            rows: the runs to do it for; the other ones keep the statistics that they have.
            one_thread: where the number of PyTorch's threads changes as training goes on.
        """
        found = {name: tensor.clone() for name, tensor in others.items()}
        threads = torch.get_num_threads()
        torch.set_num_threads(1 if one_thread else threads)
        try:
            for row in rows:
                for name, value in self._of_run(
                    params_RP[row], {n: t[row] for n, t in others.items()}
                ).items():
                    found[name][row] = value.to(found[name].dtype)
        finally:
            torch.set_num_threads(threads)
        return found

    @cached_property
    def _batches(self) -> Sequence[Tensor]:
        """The examples of each batch."""
        key = rng.key(torch.zeros(1, dtype=torch.int64, device=self._x.device), "statistics", 0)
        rows_N = rng.permutation(key, len(self._x))[0][: self._most]
        return rows_N.tensor_split(max(1, len(rows_N) // self._batch_size))

    def _of_run(self, params_P: Tensor, others: Mapping[str, Tensor]) -> dict[str, Tensor]:
        network = self._network
        buffers = {name: others[name] for name in network.buffers}
        tensors = channels_last({**network.layout.view_one(params_P), **others})
        seen: _Seen = {name: [] for name in self._norms}
        with torch.no_grad(), self._gathering(seen):
            for rows in self._batches:
                x = self._x[rows]
                given = x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
                network.pure({n: t for n, t in tensors.items() if n not in buffers}, buffers, given)
        found = {}
        for name, parts in seen.items():
            if parts:  # else the pass does not go through it
                mean, variance = pooled(parts)
                found[f"{name}.running_mean".lstrip(".")], found[f"{name}.running_var".lstrip(".")] = (
                    mean,
                    variance,
                )
        return found

    @contextmanager
    def _gathering(self, seen: _Seen) -> Iterator[None]:
        """Within it, the module evaluates, but for its norms, which note what goes into them."""
        module = self._network.module
        module.eval()
        hooks = []
        for name, norm in self._norms.items():
            norm.train()

            def note(
                _: nn.Module, given: tuple[Tensor, ...], parts: list[tuple[int, Tensor, Tensor]] = seen[name]
            ) -> None:
                x = given[0]
                dims = [dim for dim in range(x.dim()) if dim != 1]
                variance, mean = torch.var_mean(x, dims, correction=0)
                parts.append((x.numel() // x.shape[1], mean, variance))

            hooks.append(norm.register_forward_pre_hook(note))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            module.train()


def pooled(parts: Sequence[tuple[int, Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of all numbers together, from those of their parts, in float64.

    ``mu = sum n_b mu_b / n``, ``v = sum n_b (v_b + (mu_b - mu)^2) / n``: no difference of large squares.

    Args:
        parts: of each part how many numbers it has, its mean and its biased variance, (C,).

    Example:
        >>> mean, variance = pooled([(1, torch.tensor([1.0]), torch.zeros(1)), (3, torch.tensor([5.0]), torch.ones(1))])
        >>> mean.item(), variance.item()
        (4.0, 3.75)
    """
    total = sum(num for num, _, _ in parts)
    counts_B1 = torch.tensor([num / total for num, _, _ in parts], dtype=torch.float64)[:, None]
    counts_B1 = counts_B1.to(parts[0][1].device)
    mean_BC = torch.stack([mean for _, mean, _ in parts]).double()
    variance_BC = torch.stack([variance for _, _, variance in parts]).double()
    mean_C = (counts_B1 * mean_BC).sum(0)
    return mean_C, (counts_B1 * (variance_BC + (mean_BC - mean_C).square())).sum(0)


def _estimated(module: nn.Module) -> bool:
    """Whether training brings a module's statistics up to date, so that they have to suit its weights."""
    return isinstance(module, _Norm) and module.training and module.running_mean is not None
