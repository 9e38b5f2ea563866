"""Losses at many weights of one network, evaluated as the runs of a cohort.

Shapes: R point, G points at once, P numbers of one run, N example.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ravine.engine.loss import Loss
from ravine.engine.native.scores import NativeScores
from ravine.engine.network import Network
from ravine.engine.objective import Objective
from ravine.engine.state import Data
from ravine.engine.traced.threads import Threads
from ravine.native.tensors import Unsupported
from ravine.trace import Untraceable

_NUMBERS = 1 << 24  # of the weights, and of the outputs, that lie in memory at once
_TRIED = 256  # examples with which it is tried: as many as go through machine code at once

Fill = Callable[[int, int, Tensor], object]
"""(first, last, rows) -> ...: writes the weights of these points into rows (last - first, P)."""


class Points:
    """The loss of a network at many points of its space of weights, in eval mode.

    By machine code where the model can be compiled, on a processor, a thread taking one point after another; else
    some points at once under vmap, or one after another, whichever is faster where both can be done.

    Args:
        network: the model.
        loss: of its outputs.
        data: the examples.
        unit: what losses are multiplied by.
        most: points whose weights lie in memory at once, at most.
        at_once: points of a fused pass: more leave the caches.
        backend: "native", "fused" or "serial"; "auto": the fastest that the model allows.
    """

    def __init__(
        self,
        network: Network,
        loss: Loss,
        data: Data,
        *,
        unit: float = 1.0,
        most: int = 512,
        at_once: int = 16,
        backend: str = "auto",
    ) -> None:
        self._objective, self._data, self._unit = Objective(network=network, loss=loss), data, unit
        self._most, self._at_once, self._choice = most, at_once, backend
        self.backend = ""  # what evaluated last

    def parts(self, num: int, fill: Fill, others: Mapping[str, Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Loss and accuracy at each point, some points at a time: two float64 tensors (G,), as in `examples`."""
        for loss_GN, accuracy_GN in self.examples(num, fill, others):
            yield loss_GN.mean(1), accuracy_GN.mean(1)

    def examples(self, num: int, fill: Fill, others: Mapping[str, Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Loss and accuracy of each example at each point, some points at a time.

        Args:
            num: R, how many points.
            fill: gives their weights, some at a time.
            others: every other tensor of the model, by name: (1, ...) if it is the same for all points, else (R, ...).

        Yields:
            Of the next points two float64 tensors (G, N); for regression both are the loss.
        """
        layout, num_outputs = self._objective.network.layout, self._objective.network.num_outputs
        most = max(1, min(self._most, _NUMBERS // max(layout.size, len(self._data.y) * num_outputs)))
        size = -(-num // -(-num // most))  # groups of about the same size: the last one is calculated in full
        dtype = self._objective.network.dtype
        params_GP = torch.zeros(size, layout.size, dtype=dtype, device=self._data.x.device)
        own = {
            name: tensor[:1].expand(size, *tensor.shape[1:]).contiguous() for name, tensor in others.items()
        }
        score = self._scorer(params_GP, own)
        scale = 1.0 if self._objective.loss.has_accuracy else self._unit
        for first in range(0, num, size):
            last = min(first + size, num)
            fill(first, last, params_GP[: last - first])
            for name, tensor in others.items():
                if len(tensor) > 1:
                    own[name][: last - first] = tensor[first:last]
            loss_GN, accuracy_GN = (found.double()[: last - first] for found in score())
            yield self._unit * loss_GN, scale * accuracy_GN

    def _scorer(self, params_GP: Tensor, own: dict[str, Tensor]) -> Callable[[], tuple[Tensor, Tensor]]:
        """What evaluates the rows of this memory, whenever it is called: (G, N) each."""
        on_cpu, choice = params_GP.device.type == "cpu", self._choice
        if choice == "native" or (choice == "auto" and on_cpu):
            try:
                native = NativeScores(self._objective, params_GP, own)
                native(Data(x=self._data.x[:_TRIED], y=self._data.y[:_TRIED]))  # compiled, where it can be
            except (Unsupported, Untraceable):
                if choice == "native":
                    raise
            else:
                self.backend = "native"
                return lambda: native(self._data)[1:]
        self.backend = "fused" if choice == "auto" else choice
        if choice == "auto":
            try:
                self._in_torch(params_GP[:2], {name: tensor[:2] for name, tensor in own.items()}, num=16)
            except Exception:  # noqa: BLE001 (whatever a user's module raises under vmap: then one by one)
                self.backend = "serial"
            if self.backend == "fused" and on_cpu and self._faster_alone(params_GP, own):
                self.backend = "serial"
        at_once = self._at_once if self.backend == "fused" else 1
        threads = Threads(params_GP.device, adapt=True)

        def score() -> tuple[Tensor, Tensor]:
            parts: list[tuple[Tensor, Tensor]] = []

            def some(rows: slice) -> None:
                parts.append(self._in_torch(params_GP[rows], {name: t[rows] for name, t in own.items()}))

            for first in range(0, len(params_GP), at_once):
                threads.run(partial(some, slice(first, first + at_once)))
            losses, accuracies = zip(*parts, strict=True)
            return torch.cat(losses), torch.cat(accuracies)

        return score

    def _faster_alone(self, params_GP: Tensor, own: Mapping[str, Tensor]) -> bool:
        """Whether points take less time one after another: those of a network that fills the caches alone do."""
        seconds = {}
        for backend, num in (("serial", 1), ("fused", min(self._at_once, len(params_GP)))):
            self.backend = backend
            rows, others = params_GP[:num], {name: tensor[:num] for name, tensor in own.items()}
            times = []
            for _ in range(2):  # the first time there is more to do
                began = time.perf_counter()
                self._in_torch(rows, others)
                times.append((time.perf_counter() - began) / num)
            seconds[self.backend] = times[-1]
        return seconds["serial"] < seconds["fused"]

    def _in_torch(
        self, params_GP: Tensor, others: Mapping[str, Tensor], num: int | None = None
    ) -> tuple[Tensor, Tensor]:
        objective = replace(self._objective, fused=self.backend == "fused")
        split = Data(x=self._data.x[:num], y=self._data.y[:num])
        return objective.scores(params_GP, others, split)[1:]
