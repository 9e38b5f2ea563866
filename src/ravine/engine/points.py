"""Losses at many weights of one network, evaluated as the runs of a cohort.

Shapes: R point, G points at once, P numbers of one run, N example.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
from torch import Tensor

from ravine.engine.cohort import Cohort, Segment
from ravine.engine.evaluate import outputs_of
from ravine.engine.loss import example_losses, loss_of
from ravine.engine.native.scores import NativeScores
from ravine.engine.network import Network
from ravine.engine.setting import Setting
from ravine.engine.state import Constants, Data, State
from ravine.engine.traced.threads import Threads
from ravine.native.tensors import Unsupported
from ravine.rules import rule
from ravine.study import Run
from ravine.trace import Untraceable

_NUMBERS = 1 << 24  # of the weights, and of the outputs, that lie in memory at once
_MOST = 512
_AT_ONCE = 16  # points of a fused pass: more leave the caches
_TRIED = 256  # examples with which it is tried: as many as go through machine code at once

Fill = Callable[[int, int, Tensor], object]
"""(first, last, rows) -> ...: writes the weights of these points into rows (last - first, P)."""


class Points:
    """The loss of a network at many points of its space of weights, in eval mode.

    By machine code where the model can be compiled, on a processor, a thread taking one point after another; else
    some points at once under vmap, or one after another, whichever is faster where both can be done.

    Args:
        network: the model.
        task: "classification" or "regression".
        data: the examples.
        run: any run of the network: what its points are taken for.
        unit: what losses are multiplied by.
    """

    def __init__(self, network: Network, task: str, data: Data, run: Run, *, unit: float = 1.0) -> None:
        self._network, self._task, self._data, self._run, self._unit = network, task, data, run, unit
        self.backend = ""  # what evaluated last

    def evaluate(self, num: int, fill: Fill, others: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Loss and accuracy at each point: all of `parts`."""
        losses, accuracies = zip(*self.parts(num, fill, others), strict=True)
        return torch.cat(losses), torch.cat(accuracies)

    def parts(self, num: int, fill: Fill, others: Mapping[str, Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Loss and accuracy at each point, some points at a time.

        Args:
            num: R, how many points.
            fill: gives their weights, some at a time.
            others: every other tensor of the model, by name: (1, ...) if it is the same for all points, else (R, ...).

        Yields:
            Of the next points two float64 tensors (G,); for regression both are the loss.
        """
        width = max(self._network.layout.size, len(self._data.y) * self._network.num_outputs)
        most = max(1, min(_MOST, _NUMBERS // width))
        size = -(-num // -(-num // most))  # groups of about the same size: the last one is calculated in full
        params_GP = torch.zeros(size, self._network.layout.size, device=self._data.x.device)
        held = {
            name: tensor[:1].expand(size, *tensor.shape[1:]).contiguous() for name, tensor in others.items()
        }
        score = self._scorer(params_GP, held)
        scale = self._unit if self._task == "regression" else 1.0
        for first in range(0, num, size):
            last = min(first + size, num)
            fill(first, last, params_GP[: last - first])
            for name, tensor in others.items():
                if len(tensor) > 1:
                    held[name][: last - first] = tensor[first:last]
            loss_GN, accuracy_GN = score()
            loss_G, accuracy_G = (found.double().mean(1)[: last - first] for found in (loss_GN, accuracy_GN))
            yield self._unit * loss_G, scale * accuracy_G

    def _scorer(self, params_GP: Tensor, held: dict[str, Tensor]) -> Callable[[], tuple[Tensor, Tensor]]:
        """What evaluates the rows of this memory, whenever it is called: (G, N) each."""
        if params_GP.device.type == "cpu":
            try:
                native = self._native(params_GP, held)
            except (Unsupported, Untraceable):
                pass
            else:
                self.backend = "native"
                return native
        self.backend = "fused"
        try:
            self._in_torch(params_GP[:2], {name: tensor[:2] for name, tensor in held.items()}, num=16)
        except Exception:  # noqa: BLE001 (whatever a user's module raises under vmap: then one after another)
            self.backend = "serial"
        if self.backend == "fused" and params_GP.device.type == "cpu" and self._faster_alone(params_GP, held):
            self.backend = "serial"
        at_once = _AT_ONCE if self.backend == "fused" else 1
        threads = Threads(params_GP.device, adapt=True)

        def score() -> tuple[Tensor, Tensor]:
            parts: list[tuple[Tensor, Tensor]] = []

            def some(rows: slice) -> None:
                own = {name: tensor[rows] for name, tensor in held.items()}
                parts.append(self._in_torch(params_GP[rows], own))

            for first in range(0, len(params_GP), at_once):
                threads.run(partial(some, slice(first, first + at_once)))
            losses, accuracies = zip(*parts, strict=True)
            return torch.cat(losses), torch.cat(accuracies)

        return score

    def _faster_alone(self, params_GP: Tensor, held: Mapping[str, Tensor]) -> bool:
        """Whether points take less time one after another: those of a network that fills the caches alone do."""
        seconds = {}
        for self.backend, num in (("serial", 1), ("fused", min(_AT_ONCE, len(params_GP)))):
            rows, own = params_GP[:num], {name: tensor[:num] for name, tensor in held.items()}
            times = []
            for _ in range(2):  # the first time there is more to do
                began = time.perf_counter()
                self._in_torch(rows, own)
                times.append((time.perf_counter() - began) / num)
            seconds[self.backend] = times[-1]
        return seconds["serial"] < seconds["fused"]

    def _native(self, params_GP: Tensor, held: dict[str, Tensor]) -> Callable[[], tuple[Tensor, Tensor]]:
        num = len(params_GP)
        # Any rule would do that deploys the weights it trains: nothing is trained here.
        segment = Segment(rule=rule("sgd"), exclude=None, start=0, stop=num)
        state = State(
            params_RP=params_GP,
            slots=({},),
            buffers={name: held[name] for name in self._network.buffers},
        )
        nothing = torch.zeros(num)
        setting = Setting(
            cohort=Cohort(runs=(self._run,) * num, segments=(segment,)),
            network=self._network,
            loss=loss_of(self._task),
            data=self._data,
            state=state,
            constants=Constants(
                hypers=({},),
                seeds_R=nothing,
                seed_index_R=nothing,
                rates={},
                fixed={name: held[name] for name in self._network.fixed},
                grads_RP=nothing,
                radius=nothing,
            ),
            fused=False,
            full_batch=True,
            num_seeds=1,
        )
        scores = NativeScores(setting, self._task)
        scores(Data(x=self._data.x[:_TRIED], y=self._data.y[:_TRIED]))  # compiled, where it can be
        return lambda: scores(self._data)[1:]

    def _in_torch(
        self, params_GP: Tensor, held: Mapping[str, Tensor], num: int | None = None
    ) -> tuple[Tensor, Tensor]:
        x, y = self._data.x[:num], self._data.y[:num]
        outputs_GNK = outputs_of(self._network, params_GP, held, x, fused=self.backend == "fused")
        return example_losses(self._task, outputs_GNK, y)
