"""Runs as machine code: every run's step is compiled once for all runs, and each thread trains one run after another.

Shapes: R run, P numbers of one run, S seed, T step, B batch, N example, K output, I input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ravine.engine.cohort import Cohort, Segment
from ravine.engine.network import Network
from ravine.engine.program import Setting, gradient_points, gradients, update_segment
from ravine.engine.state import Constants, Data, State
from ravine.engine.trace import trace
from ravine.native.expressions import Buffer, Stored, stored
from ravine.native.function import Function, compiled
from ravine.native.lower import Lowering
from ravine.native.tensors import Tensors, kind_of
from ravine.native.workers import Jobs, Workers

_CHUNK = 256  # examples that go through the network at once where it is evaluated


class Inputs:
    """The numbered inputs of a program's functions: tensors of one run, by name."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.constants: dict[str, Tensor] = {}

    def number(self, name: str) -> int:
        """Of an input."""
        return self.numbers.setdefault(name, len(self.numbers))

    def function(
        self,
        program: Callable[..., tuple[Tensor, ...]],
        examples: Mapping[str, Tensor],
        outputs: Sequence[tuple[str, Sequence[int], int]],
    ) -> Function:
        """Compile a function of tensors.

        Args:
            program: takes the examples in their order; it may change them in place.
            examples: one run's tensors, by name of the input.
            outputs: for each tensor that it returns, the input in whose memory it is wanted, its shape there
                and its offset.

        Raises:
            Unsupported: some operation cannot be lowered.
            Untraceable: what it does depends on numbers in tensors.
        """
        graph = trace(program, [tensor.clone() for tensor in examples.values()])
        tensors = Tensors()
        buffers: dict[str, Buffer] = {}

        def memory(name: str, dtype: torch.dtype, shape: Sequence[int], offset: int = 0) -> Stored:
            buffer = buffers.setdefault(name, Buffer(kind_of(dtype), source=self.number(name)))
            return stored(tensors.pool, buffer, shape, None, offset)

        inputs = [memory(name, tensor.dtype, tensor.shape) for name, tensor in examples.items()]
        constants = {}
        for node in graph.graph.nodes:
            if node.op == "get_attr":
                value = getattr(graph, node.target).contiguous()
                name = f"constant/{len(self.constants)}"
                self.constants[name] = value
                constants[node.target] = memory(name, value.dtype, value.shape)
        targets = [memory(name, torch.float32, shape, offset) for name, shape, offset in outputs]
        Lowering(tensors, graph.graph, inputs, constants, targets)
        return compiled(tensors.schedule)

    def table(self, of_run: Mapping[str, Sequence[int]], num_runs: int) -> np.ndarray:
        """Addresses of all inputs, (R, I): those given run by run, those of constants; 0 for all others."""
        table_RI = np.zeros((num_runs, len(self.numbers)), dtype=np.int64)
        for name, number in self.numbers.items():
            if name in self.constants:
                table_RI[:, number] = self.constants[name].data_ptr()
            elif name in of_run:
                table_RI[:, number] = of_run[name]
        return table_RI


def _rows(tensor: Tensor) -> list[int]:
    """Where each run's part of a tensor begins."""
    far = tensor.stride(0) * tensor.element_size()
    return [tensor.data_ptr() + i * far for i in range(tensor.shape[0])]


class NativeSteps:
    """The training steps of a cohort.

    Args:
        setting: what a step is made of.

    Raises:
        Unsupported: no machine code is made for some operation of the model or of a rule.
    """

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._inputs = Inputs()
        state, constants = setting.state, setting.constants
        num_runs, layout = len(setting.cohort.runs), setting.network.layout
        self._stopped_R = np.zeros(num_runs, dtype=np.uint8)
        gradient = self._gradient()
        functions: list[list[Function | None]] = []
        of_run: dict[str, list[int]] = {
            "params": _rows(state.params_RP),
            "points": _rows(state.params_RP),
            "seed": _rows(constants.seeds_R),
            "x": [setting.data.x.data_ptr()] * num_runs,
            "y": [setting.data.y.data_ptr()] * num_runs,
        }
        for kind in ("buffers", "fixed", "rates"):
            for name, tensor in _group(setting, kind).items():
                of_run[f"{kind}/{name}"] = _rows(tensor)
        for number, segment in enumerate(setting.cohort.segments):
            points, update = self._update(number, segment)
            functions += [[points, gradient, update]] * (segment.stop - segment.start)
            if points is not None:
                of_run["points"][segment.start : segment.stop] = [0] * (segment.stop - segment.start)
            own = {f"slots/{i}": t for i, t in enumerate(state.slots[number].values())}
            hypers = constants.hypers[number]
            own.update({f"hypers/{i}": t for i, t in enumerate(hypers.values())})
            for name, tensor in own.items():
                rows = _rows(tensor) if tensor.dim() > 1 else [tensor.data_ptr()] * (segment.stop - segment.start)
                of_run.setdefault(name, [0] * num_runs)[segment.start : segment.stop] = rows
        table_RI = self._inputs.table(of_run, num_runs)
        room = 4 * layout.size
        own_memory = {self._inputs.number("grads"): room, self._inputs.number("points"): room}
        self._table_RI = table_RI
        jobs = Jobs(
            tables_JI=table_RI, functions=functions, own=own_memory, watched=self._inputs.number("loss")
        )
        self._workers = Workers(jobs, torch.get_num_threads())

    def run(
        self, rows_TSB: Tensor, lr_TR: Tensor, step: int, alive: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Train for T steps.

        Args:
            rows_TSB: examples of the batches.
            lr_TR: learning rates.
            step: number of the first step, from 0.
            alive: the runs to train.

        Returns:
            Losses and accuracies, (T, R); not a number where a run was not trained, or not any more.
        """
        num_steps, num_runs = lr_TR.shape
        loss_TR = torch.full((num_steps, num_runs), torch.nan)
        accuracy_TR = torch.full((num_steps, num_runs), torch.nan)
        number_T = torch.arange(step, step + num_steps)
        t_T = (number_T + 1).to(torch.float32)
        steps_I = np.zeros(len(self._inputs.numbers), dtype=np.int64)
        seed_index_R = self._setting.constants.seed_index_R.numpy()
        for name, tensor, far in (
            ("loss", loss_TR, np.arange(num_runs)),
            ("accuracy", accuracy_TR, np.arange(num_runs)),
            ("lr", lr_TR, np.arange(num_runs)),
            ("t", t_T, 0),
            ("number", number_T, 0),
            ("rows", rows_TSB, seed_index_R * rows_TSB.shape[2]),
        ):
            i = self._inputs.number(name)
            self._table_RI[:, i] = tensor.data_ptr() + far * tensor.element_size()
            steps_I[i] = tensor.stride(0) * tensor.element_size()
        self._workers.run(np.asarray(alive), num_steps, steps_I, self._stopped_R)
        return loss_TR, accuracy_TR

    def _gradient(self) -> Function:
        """points -> grads, loss, accuracy; the buffers are brought up to date."""
        setting, layout = self._setting, self._setting.network.layout
        alone = replace(setting, cohort=Cohort.of(setting.cohort.runs[:1]), fused=False)
        names = {kind: list(_group(setting, kind)) for kind in ("buffers", "fixed", "rates")}

        def program(*given: Tensor) -> tuple[Tensor, ...]:
            by_name = dict(zip(examples, given, strict=True))
            groups = {kind: {n: by_name[f"{kind}/{n}"] for n in names[kind]} for kind in names}
            state = State(params_RP=by_name["points"], slots=(), buffers=groups["buffers"])
            constants = Constants(
                hypers=(),
                seeds_R=by_name["seed"],
                seed_index_R=torch.zeros(1, dtype=torch.int64),
                rates=groups["rates"],
                fixed=groups["fixed"],
                grads_RP=torch.empty(0),
            )
            grads, (loss_R, accuracy_R) = gradients(
                alone,
                by_name["points"],
                state,
                constants,
                Data(x=by_name["x"], y=by_name["y"]),
                by_name["rows"],
                by_name["number"],
            )
            return (*(grads[name] for name in layout.names), loss_R, accuracy_R)

        examples = {
            "points": setting.state.params_RP[:1],
            "seed": setting.constants.seeds_R[:1],
            "x": setting.data.x,
            "y": setting.data.y,
            "rows": torch.zeros((1, setting.cohort.recipe.batch_size), dtype=torch.int64),
            "number": torch.zeros((), dtype=torch.int64),
            **{f"{kind}/{n}": tensor[:1] for kind in names for n, tensor in _group(setting, kind).items()},
        }
        outputs = [
            ("grads", (1, *shape), offset) for shape, offset in zip(layout.shapes, layout.offsets, strict=True)
        ]
        return self._inputs.function(program, examples, [*outputs, ("loss", (1,), 0), ("accuracy", (1,), 0)])

    def _update(self, number: int, segment: Segment) -> tuple[Function | None, Function]:
        """Where a segment's rule takes its gradient, if not at the parameters, and its step."""
        setting, layout = self._setting, self._setting.network.layout
        slots, hypers = setting.state.slots[number], setting.constants.hypers[number]
        alone = replace(segment, start=0, stop=1)

        def parts(given: Sequence[Tensor]) -> tuple[Any, ...]:
            by_name = dict(zip(examples, given, strict=True))
            own = {name: by_name[f"slots/{i}"] for i, name in enumerate(slots)}
            numbers = {name: by_name[f"hypers/{i}"] for i, name in enumerate(hypers)}
            return by_name, own, {**numbers, "lr": by_name["lr"]}

        def step(*given: Tensor) -> tuple[Tensor, ...]:
            by_name, own, numbers = parts(given)
            update_segment(alone, layout, by_name["grads"], own, by_name["params"], numbers, by_name["t"])
            return ()

        def look(*given: Tensor) -> tuple[Tensor, ...]:
            by_name, own, numbers = parts(given)
            assert segment.rule.gradient_at is not None, "only for rules that look ahead"
            return (segment.rule.gradient_at(by_name["params"], own, numbers),)

        examples = {
            "params": setting.state.params_RP[:1],
            "grads": setting.state.params_RP[:1],
            "lr": torch.ones(1, 1),
            "t": torch.ones(()),
            **{f"slots/{i}": tensor[:1] for i, tensor in enumerate(slots.values())},
            **{f"hypers/{i}": t[:1] if t.dim() > 1 else t for i, t in enumerate(hypers.values())},
        }
        points = None
        if segment.rule.gradient_at is not None:
            points = self._inputs.function(look, examples, [("points", (1, layout.size), 0)])
        return points, self._inputs.function(step, examples, [])


def _group(setting: Setting, kind: str) -> dict[str, Tensor]:
    if kind == "buffers":
        return setting.state.buffers
    return setting.constants.fixed if kind == "fixed" else setting.constants.rates


class NativeOutputs:
    """Outputs of all runs on examples, in eval mode.

    Args:
        network: the model.
        num_outputs: K.
    """

    def __init__(self, network: Network, num_outputs: int) -> None:
        self._network, self._num_outputs = network, num_outputs
        self._functions: dict[tuple[int, ...], tuple[Inputs, Function]] = {}

    def __call__(self, params_RP: Tensor, others: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """The outputs, (R, N, K).

        Args:
            params_RP: the runs' parameters.
            others: every other tensor of the model, (R, ...) by name.
            x: (N, ...) examples.
        """
        num_runs, num, width = len(params_RP), len(x), self._num_outputs
        params_RP, x = params_RP.contiguous(), x.contiguous()
        outputs_RNK = torch.empty(num_runs, num, width)
        chunk = min(num, _CHUNK)
        if not num or not num_runs:
            return outputs_RNK
        shape = (chunk, *x.shape[1:])
        if shape not in self._functions:
            self._functions[shape] = self._compiled(params_RP, others, x[:chunk])
        inputs, function = self._functions[shape]
        kept = {name: tensor.contiguous() for name, tensor in others.items()}
        of_run = {
            "params": _rows(params_RP),
            "x": [x.data_ptr()] * num_runs,
            "outputs": _rows(outputs_RNK),
            **{f"others/{name}": _rows(tensor) for name, tensor in kept.items()},
        }
        table_RI = inputs.table(of_run, num_runs)
        workers = Workers(
            Jobs(tables_JI=table_RI, functions=[[function]] * num_runs, own={}), torch.get_num_threads()
        )
        steps_I = np.zeros(table_RI.shape[1], dtype=np.int64)
        bytes_x, bytes_outputs = 4 * x[0].numel(), 4 * width
        steps_I[inputs.number("x")], steps_I[inputs.number("outputs")] = chunk * bytes_x, chunk * bytes_outputs
        order, stopped_R = np.arange(num_runs), np.zeros(num_runs, dtype=np.uint8)
        workers.run(order, num // chunk, steps_I, stopped_R)
        if num % chunk:  # once more for the last ones, with some before them
            table_RI[:, inputs.number("x")] += (num - chunk) * bytes_x
            table_RI[:, inputs.number("outputs")] += (num - chunk) * bytes_outputs
            workers.run(order, 1, steps_I, stopped_R)
        return outputs_RNK

    def _compiled(
        self, params_RP: Tensor, others: Mapping[str, Tensor], x: Tensor
    ) -> tuple[Inputs, Function]:
        network, inputs = self._network, Inputs()

        def program(params_P: Tensor, x: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
            tensors = {name: tensor[0] for name, tensor in zip(others, given, strict=True)}
            views = network.layout.view_one(params_P[0])
            return (network.pure({**views, **tensors}, {}, x.clone())[0],)

        examples = {
            "params": params_RP[:1],
            "x": x,
            **{f"others/{name}": tensor[:1] for name, tensor in others.items()},
        }
        network.module.eval()
        try:
            with torch.no_grad():
                return inputs, inputs.function(program, examples, [("outputs", (len(x), self._num_outputs), 0)])
        finally:
            network.module.train()
