"""Monte Carlo passes of finished runs, by machine code where it can carry them, else in PyTorch.

Shapes: R run, N example, B example of a chunk, S sample, K output.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import final

import torch
from torch import Tensor

from ravine.engine.native.samples import NativeSamples
from ravine.engine.objective import Objective
from ravine.engine.passes import (
    Points,
    Sampling,
    drawing,
    one_by_one,
    per_chunk,
    per_part,
    sampled,
    side_by_side,
)
from ravine.native.tensors import Unsupported
from ravine.trace import Untraceable


@final
class Samples:
    """The samples of runs of one model.

    Args:
        objective: of the runs; not fused.
        points: the runs.
        sampling: which samples.

    Attributes:
        backend: "native", "serial", or "eager" for a model that `vmap` cannot take.
    """

    def __init__(self, objective: Objective, points: Points, sampling: Sampling) -> None:
        self._objective, self._points, self._sampling = objective, points, sampling
        self._native: NativeSamples | None = None
        # Whether a batch makes the samples of its examples; None: not tried.
        self._side_by_side: bool | None = None
        self.backend = "serial"
        if points.params_RP.device.type == "cpu":
            try:
                self._native = NativeSamples(objective, points, sampling)
            except (Unsupported, Untraceable):
                return
            self.backend = "native"

    def __call__(self, x: Tensor, numbers_N: Tensor | None = None) -> Iterator[tuple[slice, Tensor]]:
        """Outputs of all samples.

        Args:
            x: examples, (N, ...).
            numbers_N: of the examples, int64; None: 0, 1, ...

        Yields:
            Which examples, and their outputs, (R, n, S, K), on the CPU.
        """
        num = len(x)
        if not num:
            return
        network, samples = self._objective.network, self._sampling.samples
        examples_N = torch.arange(num) if numbers_N is None else numbers_N
        widest = max(map(len, self._sampling.blocks()))
        chunk = per_chunk(x, widest, native=self._native is not None)
        size = per_part(num, samples * network.num_outputs * len(self._points), chunk)
        for start in range(0, num, size):
            part = slice(start, min(start + size, num))
            yield part, self._outputs(x[part], examples_N[part], chunk)

    def _outputs(self, x: Tensor, examples_N: Tensor, chunk: int) -> Tensor:
        if self._native is not None:
            try:
                return self._native(x, examples_N, chunk)
            except (Unsupported, Untraceable):
                self._native, self.backend = None, "serial"
        return torch.cat([self._of_run(row, x, examples_N) for row in range(len(self._points))])

    def _of_run(self, row: int, x: Tensor, examples_N: Tensor) -> Tensor:
        network, draw = self._objective.network, self._sampling.draw
        point = self._points.row(row)
        tensors = {**network.layout.views(point.params_RP), **point.others, **point.rates}
        tensors = {name: tensor[0] for name, tensor in tensors.items()}
        blocks = []
        with drawing(self._objective):
            for block in self._sampling.blocks():
                seed = torch.tensor(point.seeds)
                keys = self._sampling.keys(network.layers, seed, examples_N, block)
                keys = {name: key[0].to(x.device) for name, key in keys.items()}
                chunk = per_chunk(x, len(block))
                parts = []
                for start in range(0, len(x), chunk):
                    at = slice(start, start + chunk)
                    own = {name: key[at] for name, key in keys.items()} if draw == "example" else keys
                    parts.append(self._chunk(tensors, own, x[at]))
                blocks.append(torch.cat(parts))
        return torch.cat(blocks, 1)[None].cpu()

    def _chunk(self, tensors: dict[str, Tensor], keys: dict[str, Tensor], x: Tensor) -> Tensor:
        objective, draw = self._objective, self._sampling.draw
        if self.backend == "serial":
            try:
                return sampled(objective, draw)(tensors, keys, x)
            except (RuntimeError, ValueError):  # what vmap cannot take: an LSTM, control flow by numbers
                self.backend = "eager"
        if self._side_by_side is not False:
            with suppress(RuntimeError, ValueError, TypeError):
                found = side_by_side(objective, draw)(tensors, keys, x)
                if self._side_by_side is None:
                    first = {name: key[:1] for name, key in keys.items()} if draw == "example" else keys
                    alone = one_by_one(objective, draw)(tensors, first, x[:1])
                    self._side_by_side = bool(torch.isclose(found[:1], alone, rtol=1e-4, atol=1e-5).all())
                if self._side_by_side:
                    return found
            self._side_by_side = False
        return one_by_one(objective, draw)(tensors, keys, x)
