"""Outputs and scores of a cohort as machine code.

Shapes: R run, N example, K output, I input.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ravine.engine.loss import example_losses
from ravine.engine.setting import Setting
from ravine.engine.state import Data
from ravine.native.function import Function
from ravine.native.inputs import Inputs, rows_of
from ravine.native.workers import Jobs, Workers

_CHUNK, _PICTURE_CHUNK = 256, 64  # examples that go through the network at once: their numbers stay in caches


class NativeScores:
    """Evaluates all runs of a cohort on examples, in eval mode and at the weights that their rules would deploy.

    Args:
        setting: the cohort, as it is trained.
        task: "classification" or "regression".
    """

    def __init__(self, setting: Setting, task: str) -> None:
        self._setting, self._task = setting, task
        self._inputs = Inputs()
        self._num_runs, self._num_threads = len(setting.cohort.runs), torch.get_num_threads()
        self._others = {**setting.constants.fixed, **setting.state.buffers}
        self._passes: dict[tuple[int, ...], tuple[Workers, Jobs]] = {}
        self._deploy: list[Function | None] = []
        # What rules that search deploy depends on numbers in float64: it is put here before an evaluation.
        self._held_RP = torch.empty_like(setting.state.params_RP) if setting.cohort.searches else None
        weights_RP = setting.state.params_RP if self._held_RP is None else self._held_RP
        self._of_run: dict[str, list[int]] = {
            "params": rows_of(setting.state.params_RP),
            "weights": rows_of(weights_RP),
            **{f"others/{name}": rows_of(tensor) for name, tensor in self._others.items()},
        }
        for number, segment in enumerate(setting.cohort.segments):
            span, num = slice(segment.start, segment.stop), segment.stop - segment.start
            function = None
            if segment.rule.weights is not None and self._held_RP is None:
                function = self._deployment(number, segment.rule.weights)
                self._of_run["weights"][span] = [0] * num
            self._deploy += [function] * num
            tensors = {
                **{f"slots/{name}": t for name, t in setting.state.slots[number].items()},
                **{f"hypers/{name}": t for name, t in setting.constants.hypers[number].items()},
            }
            for name, tensor in tensors.items():
                rows = rows_of(tensor) if tensor.dim() > 1 else [tensor.data_ptr()] * num
                self._of_run.setdefault(name, [0] * self._num_runs)[span] = rows

    def __call__(self, split: Data) -> tuple[Tensor, Tensor, Tensor]:
        """Outputs (R, N, K), and loss and accuracy of each example, (R, N); for regression both are the squared error.

        Args:
            split: the examples.
        """
        x, y, width = split.x.contiguous(), split.y.contiguous(), self._setting.network.num_outputs
        num = len(x)
        outputs_RNK = torch.empty(self._num_runs, num, width)
        loss_RN, accuracy_RN = torch.empty(self._num_runs, num), torch.empty(self._num_runs, num)
        chunk = min(num, _PICTURE_CHUNK if x.dim() > 2 else _CHUNK)
        if not num:
            return outputs_RNK, loss_RN, accuracy_RN
        if self._held_RP is not None:
            setting = self._setting
            self._held_RP.copy_(setting.state.deployed(setting.cohort, setting.constants.hypers))
        shape = (chunk, *x.shape[1:])
        if shape not in self._passes:
            self._passes[shape] = self._made(x[:chunk], y[:chunk])
        workers, jobs = self._passes[shape]
        order, stopped_R = np.arange(self._num_runs), np.zeros(self._num_runs, dtype=np.uint8)
        given: Mapping[str, tuple[Any, int]] = {
            "x": (x.data_ptr(), 4 * x[0].numel()),
            "y": (y.data_ptr(), y.element_size()),
            "outputs": (rows_of(outputs_RNK), 4 * width),
            "loss": (rows_of(loss_RN), 4),
            "accuracy": (rows_of(accuracy_RN), 4),
        }
        steps_I = np.zeros(jobs.tables_JI.shape[1], dtype=np.int64)
        # In whole chunks, and then once more for the last ones, with some before them.
        for first, times in ((0, num // chunk), (num - chunk, int(num % chunk > 0))):
            for name, (start, far) in given.items():
                i = self._inputs.number(name)
                jobs.tables_JI[:, i] = np.asarray(start) + first * far
                steps_I[i] = chunk * far
            if times:
                workers.run(order, times, steps_I, stopped_R)
        return outputs_RNK, loss_RN, accuracy_RN

    def _made(self, x: Tensor, y: Tensor) -> tuple[Workers, Jobs]:
        num, width = len(x), self._setting.network.num_outputs
        forward = self._forward(x)

        def score(outputs: Tensor, y: Tensor) -> tuple[Tensor, ...]:
            return example_losses(self._task, outputs, y)

        examples = {"outputs": torch.zeros(num, width), "y": y}
        scores = self._inputs.function(score, examples, [("loss", (num,), 0), ("accuracy", (num,), 0)])
        jobs = Jobs(
            tables_JI=self._inputs.table(self._of_run, self._num_runs),
            functions=[[deploy, forward, scores] for deploy in self._deploy],
            own={self._inputs.number("weights"): 4 * self._setting.network.layout.size},
        )
        return Workers(jobs, self._num_threads), jobs

    def _forward(self, x: Tensor) -> Function:
        network = self._setting.network

        def program(weights_RP: Tensor, x: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
            tensors = {name: tensor[0] for name, tensor in zip(self._others, given, strict=True)}
            views = network.layout.view_one(weights_RP[0])
            return (network.pure({**views, **tensors}, {}, x.clone())[0],)

        examples = {
            "weights": self._setting.state.params_RP[:1],
            "x": x,
            **{f"others/{name}": tensor[:1] for name, tensor in self._others.items()},
        }
        network.module.eval()
        try:
            with torch.no_grad():
                outputs = [("outputs", (len(x), network.num_outputs), 0)]
                return self._inputs.function(program, examples, outputs)
        finally:
            network.module.train()

    def _deployment(self, number: int, hook: Any) -> Function:
        slots, hypers = self._setting.state.slots[number], self._setting.constants.hypers[number]

        def program(params: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
            own = dict(zip(slots, given, strict=False))
            return (hook(params, own, dict(zip(hypers, given[len(slots) :], strict=True))),)

        examples = {
            "params": self._setting.state.params_RP[:1],
            **{f"slots/{name}": tensor[:1] for name, tensor in slots.items()},
            **{f"hypers/{name}": t[:1] if t.dim() > 1 else t for name, t in hypers.items()},
        }
        return self._inputs.function(
            program, examples, [("weights", (1, self._setting.network.layout.size), 0)]
        )
