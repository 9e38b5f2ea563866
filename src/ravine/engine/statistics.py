"""BatchNorm's statistics for weights that training never evaluated: estimated again from the training data.

Shapes: R run, P numbers of one run, T batch, B example of a batch, C channel, M moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property

import torch
from torch import Tensor
from torch.func import vmap

from ravine import rng
from ravine.engine.aligned import AlignedProducts
from ravine.engine.native.moments import NativeMoments
from ravine.engine.network import Network
from ravine.engine.objective import channels_last
from ravine.native.tensors import Unsupported
from ravine.nn.functional import batched_kernels
from ravine.nn.norms import Call, Noted, estimated_norms, noting, pooled
from ravine.tensors import Layout
from ravine.trace import Untraceable

_MOMENTS = ("mean", "variance")


class Statistics:
    """The statistics that a model's norms have on the training data.

    Each batch is normalized by itself, as in training, and all else is as in evaluation: nothing is dropped, and norms
    that training leaves alone keep their statistics. Means and biased variances are those of all examples together.
    The order of the examples is fixed, and no bit of a run depends on its neighbours.

    Args:
        network: the model.
        x: examples of the training set.
        batch_size: examples in a batch, at least; a rest too small for a batch of its own is shared out.
        most: how many of the examples are used; None: all.
        backend: of the program: it decides whether machine code is made (where it can be), or runs go together.
    """

    def __init__(
        self, network: Network, x: Tensor, batch_size: int, most: int | None = None, backend: str = "serial"
    ) -> None:
        self._network, self._x, self._batch_size, self._most = network, x, batch_size, most
        self._norms = estimated_norms(network.module)
        self._native, self._threads = backend == "native", torch.get_num_threads()
        self._together = backend in ("fused", "compiled")
        self._machines: dict[int, NativeMoments] = {}
        self._noted: Noted = []  # of the pass that goes on

    def __bool__(self) -> bool:
        """Whether the model has such norms."""
        return bool(self._norms)

    def estimate(
        self, params_RP: Tensor, others: Mapping[str, Tensor], rows: Sequence[int]
    ) -> dict[str, Tensor]:
        """Every other tensor of the model, (R, ...) by name, with the statistics for these weights.

        Args:
            params_RP: the weights.
            others: every other tensor, (R, ...) by name; it stays as it is.
            rows: the runs to do it for; the other ones keep the statistics that they have.
        """
        found = {name: tensor.clone() for name, tensor in others.items()}
        with torch.no_grad(), self._gathering():
            calls = self._calls_of(params_RP, others)
            layout = Layout.of(
                {f"{i}/{what}": (call.channels,) for i, call in enumerate(calls) for what in _MOMENTS}
            )
            groups = [
                (batches_TB, self._moments(params_RP, others, rows, batches_TB, layout))
                for batches_TB in self._batches
            ]
        for norm in dict.fromkeys(call.norm for call in calls):
            counts, means, variances = [], [], []
            for (num_batches, size), moments_RTM in ((batches.shape, each) for batches, each in groups):
                for i, call in enumerate(calls):
                    if call.norm == norm:
                        mean, variance = (_part(layout, moments_RTM, f"{i}/{what}") for what in _MOMENTS)
                        counts += [size * call.per_example] * num_batches
                        means.append(mean)
                        variances.append(variance)
            mean_RC, variance_RC = pooled(counts, torch.cat(means, 1), torch.cat(variances, 1))
            for name, value in (
                (_joined(norm, "running_mean"), mean_RC),
                (_joined(norm, "running_var"), variance_RC),
            ):
                found[name][list(rows)] = value.to(found[name].dtype)
        return found

    @cached_property
    def _batches(self) -> list[Tensor]:
        """The examples of each batch, (T, B); batches of the same size together."""
        key = rng.key(torch.zeros(1, dtype=torch.int64, device=self._x.device), "statistics", 0)
        rows_N = rng.permutation(key, len(self._x))[0][: self._most]
        parts = rows_N.tensor_split(max(1, len(rows_N) // self._batch_size))
        sizes = dict.fromkeys(len(part) for part in parts)
        return [torch.stack([part for part in parts if len(part) == size]) for size in sizes]

    def _calls_of(self, params_RP: Tensor, others: Mapping[str, Tensor]) -> list[Call]:
        """The calls of the norms in a pass."""
        self._pass(params_RP[0], {name: tensor[0] for name, tensor in others.items()}, self._x[:2].clone())
        return [call for call, _, _ in self._noted]

    def _moments(
        self,
        params_RP: Tensor,
        others: Mapping[str, Tensor],
        rows: Sequence[int],
        batches_TB: Tensor,
        layout: Layout,
    ) -> Tensor:
        """Of some runs on some batches, (R', T, M)."""
        size = batches_TB.shape[1]
        if self._native:
            try:
                if size not in self._machines:
                    examples = params_RP[:1], {name: tensor[:1] for name, tensor in others.items()}
                    self._machines[size] = NativeMoments(
                        self._pass, layout, examples, self._x, size, self._threads
                    )
                return self._machines[size](params_RP, others, rows, batches_TB)
            except (Unsupported, Untraceable):
                self._native = False
        index = torch.tensor(list(rows), device=params_RP.device)
        tensors = params_RP[index], {name: tensor[index] for name, tensor in others.items()}
        found = [self._in_torch(*tensors, self._x.index_select(0, rows_B), layout) for rows_B in batches_TB]
        return torch.stack(found, 1)

    def _in_torch(self, params_RP: Tensor, others: Mapping[str, Tensor], x: Tensor, layout: Layout) -> Tensor:
        """Of all of these runs on one batch, (R, M)."""
        if self._together:
            with batched_kernels(), AlignedProducts():
                moments = vmap(lambda params_P, own: tuple(self._pass(params_P, own, x.clone())))(
                    params_RP, others
                )
        else:
            if x.dim() == 4:
                x = x.contiguous(memory_format=torch.channels_last)  # as in training
            each = [
                self._pass(params_P, {name: tensor[row] for name, tensor in others.items()}, x.clone())
                for row, params_P in enumerate(params_RP)
            ]
            moments = tuple(torch.stack(of_runs) for of_runs in zip(*each, strict=True))
        return layout.pack(dict(zip(layout.names, moments, strict=True)))

    def _pass(self, params_P: Tensor, others: Mapping[str, Tensor], x: Tensor) -> list[Tensor]:
        """The moments of each call of a norm, while a batch goes through one run's network."""
        network = self._network
        self._noted.clear()
        fixed = {name: tensor for name, tensor in others.items() if name not in network.buffers}
        tensors = {**network.layout.view_one(params_P), **fixed}
        network.pure(
            channels_last(tensors) if x.dim() == 4 and not self._together else tensors,
            {name: others[name] for name in network.buffers},
            x,
        )
        return [moment for _, mean, variance in self._noted for moment in (mean, variance)]

    @contextmanager
    def _gathering(self) -> Iterator[None]:
        """Within it, the module evaluates, but for its norms, which note what goes into them."""
        with noting(self._network.module, self._norms) as noted:
            self._noted = noted
            yield


def _part(layout: Layout, moments_RTM: Tensor, name: str) -> Tensor:
    i = layout.names.index(name)
    return moments_RTM[..., layout.offsets[i] : layout.offsets[i] + layout.shapes[i][0]]


def _joined(norm: str, what: str) -> str:
    return f"{norm}.{what}" if norm else what
