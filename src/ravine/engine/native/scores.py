"""Outputs and scores of many runs of one model as machine code.

Shapes: R run, N example, K output, I input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ravine.engine.native.cutting import cut
from ravine.engine.native.rounds import MOST, Rounds, grouped
from ravine.engine.objective import Objective, native_chunk
from ravine.engine.state import Data
from ravine.native.compiler import Compiler, Known, rows_of
from ravine.native.function import Function
from ravine.native.panels import Panels
from ravine.native.workers import Jobs, Workers

_CHUNKS = (256, 64, 16, 4, 1)  # examples at once, of backbones: to compile a pass takes seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """Neighbouring runs whose rule evaluates another point than the one it trains.

    Args:
        start, stop: rows of the runs.
        point: of the rule: ``(param, slots, hypers) -> point``.
        slots: of these runs, (G, ...).
        hypers: of these runs, (G, 1), or without the dimension of runs.
    """

    start: int
    stop: int
    point: Callable[..., Tensor]
    slots: Mapping[str, Tensor]
    hypers: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pass:
    """Examples of one shape through the runs.

    Args:
        workers: what carries them.
        jobs: what they do.
        shares: whether runs take them together.
        memory: of the runs.
    """

    workers: Workers
    jobs: Jobs
    shares: bool
    memory: Mapping[str, Tensor]


class NativeScores:
    """Evaluates runs on examples, in eval mode; each thread takes some runs, one after another.

    Args:
        objective: of the runs.
        params_RP: their parameters, whose memory stays where it is.
        others: every other tensor of the model, (R, ...) by name; likewise.
        deployed: those that evaluate another point.
    """

    def __init__(
        self,
        objective: Objective,
        params_RP: Tensor,
        others: Mapping[str, Tensor],
        deployed: Sequence[Deployed] = (),
    ) -> None:
        self._objective, self._network = objective, objective.network
        self._params_RP, self._others = params_RP, others
        self._compiler = Compiler()
        self._num_runs, self._num_threads = len(params_RP), torch.get_num_threads()
        self._passes: dict[tuple[tuple[int, ...], bool], _Pass] = {}
        self._deploy: list[Function | None] = [None] * self._num_runs
        self._of_run: dict[str, list[int]] = {
            "params": rows_of(params_RP),
            "weights": rows_of(params_RP),
            **{f"others/{name}": rows_of(tensor) for name, tensor in others.items()},
        }
        for each in deployed:
            span, num = slice(each.start, each.stop), each.stop - each.start
            self._deploy[span] = [self._deployment(each)] * num
            self._of_run["weights"][span] = [0] * num  # in memory of the thread's own
            for name, tensor in _named(each).items():
                rows = rows_of(tensor) if tensor.dim() > 1 else [tensor.data_ptr()] * num
                self._of_run.setdefault(name, [0] * self._num_runs)[span] = rows

    def __call__(
        self,
        split: Data,
        points_RP: Tensor | None = None,
        others: Mapping[str, Tensor] | None = None,
        going: Sequence[int] | None = None,
        rows: Sequence[int] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Outputs (R, N, K), and loss and accuracy of each example, (R, N); for regression both are the squared error.

        Args:
            split: the examples.
            points_RP: weights of each run; None: what its rule would deploy.
            others: with points, every other tensor of the model; None: those of the runs.
            going: the runs to evaluate; what the others would have is not a number. None: all.
            rows: the runs of which alone something is returned; None: all.
        """
        x, y, width = split.x.contiguous(), split.y.contiguous(), self._network.num_outputs
        places = np.arange(self._num_runs) if rows is None else np.asarray(rows, dtype=np.int64)
        num, num_places = len(x), len(places)
        outputs_RNK = torch.full((num_places, num, width), torch.nan)
        loss_RN, accuracy_RN = (torch.full((num_places, num), torch.nan) for _ in range(2))
        if not num:
            return outputs_RNK, loss_RN, accuracy_RN
        chunk = native_chunk(x)
        if self._network.flushes:  # splits of any size have few programs between them
            chunk = next(size for size in _CHUNKS if size <= chunk)
        key = (chunk, *x.shape[1:]), points_RP is None
        if key not in self._passes:
            self._passes[key] = self._made(x[:chunk], y[:chunk], deploys=points_RP is None)
        found = self._passes[key]
        jobs = found.jobs
        if points_RP is not None:
            jobs.tables_JI[:, self._compiler.number("weights")] = rows_of(points_RP)
            for name, tensor in (others or self._others).items():
                jobs.tables_JI[:, self._compiler.number(f"others/{name}")] = rows_of(tensor)
        order = places if going is None else np.intersect1d(places, np.asarray(going, dtype=np.int64))
        stopped_R = np.zeros(self._num_runs, dtype=np.uint8)
        numbers, sizes = torch.arange(num if found.shares else 0), None
        if found.shares:
            order, sizes = grouped(order, np.zeros(self._num_runs, dtype=np.int64), self._num_threads)
        given: Mapping[str, tuple[Any, int]] = {
            "x": (x.data_ptr(), 0 if found.shares else 4 * x[0].numel()),
            **({"rows": (numbers.data_ptr(), 8)} if found.shares else {}),
            "y": (y.data_ptr(), y[0].numel() * y.element_size()),
            "outputs": (rows_of(outputs_RNK), 4 * width),
            "loss": (rows_of(loss_RN), 4),
            "accuracy": (rows_of(accuracy_RN), 4),
        }
        steps_I = np.zeros(jobs.tables_JI.shape[1], dtype=np.int64)
        # In whole chunks, and then once more for the last ones, with some before them.
        for first, times in ((0, num // chunk), (num - chunk, int(num % chunk > 0))):
            for name, (start, far) in given.items():
                i = self._compiler.number(name)
                jobs.tables_JI[places, i] = np.asarray(start) + first * far
                steps_I[i] = chunk * far
            if times and len(order):
                found.workers.run(order, times, steps_I, stopped_R, sizes)
        return outputs_RNK, loss_RN, accuracy_RN

    def _made(self, x: Tensor, y: Tensor, *, deploys: bool) -> _Pass:
        num, width = len(x), self._network.num_outputs

        def score(outputs: Tensor, y: Tensor) -> tuple[Tensor, ...]:
            return self._objective.loss.scores(outputs, y)

        examples = {"outputs": torch.zeros(num, width), "y": y}
        outputs = [("loss", (num,), 0), ("accuracy", (num,), 0)]
        scores = self._compiler.function(score, examples, outputs, trusted=("y",))
        deployments = self._deploy if deploys else [None] * self._num_runs
        of_run, memory, rounds = self._of_run, {}, Rounds()
        own_memory = {self._compiler.number("weights"): 4 * self._network.layout.size}
        shared = self._shared_forward(x)
        rounds.add(None, deployments[:1])
        if shared is None:
            forward = self._forward(x)
            rounds.add(None, [forward, scores])
        else:
            forward, panels = shared
            rounds.add(panels.forward(), [forward, scores])
            own_memory[self._compiler.number("block")] = panels.block_bytes
            memory = {"product": torch.zeros(self._num_runs, panels.rows * num)}
            if any(deployments):
                memory["weights"] = torch.zeros(self._num_runs, self._network.layout.size)
            own = {name: rows_of(tensor) for name, tensor in memory.items()}
            if "weights" in own:
                pairs = zip(self._of_run["weights"], own["weights"], strict=True)
                own["weights"] = [theirs or mine for theirs, mine in pairs]
            of_run = {**of_run, **own}
        jobs = Jobs(
            tables_JI=self._compiler.table(of_run, self._num_runs),
            functions=[[deploy, forward, scores] for deploy in deployments],
            own=own_memory,
            rounds=rounds.of_jobs,
            flushes=self._network.flushes,
        )
        workers = Workers(jobs, self._num_threads, most=MOST if shared else 1)
        return _Pass(workers=workers, jobs=jobs, shares=shared is not None, memory=memory)

    def _forward(self, x: Tensor) -> Function:
        outputs = [("outputs", (len(x), self._network.num_outputs), 0)]
        known = Known(recordings=self._network.recordings, key=("scores",), model=self._network.name)
        with torch.no_grad(), self._objective.evaluating():
            return self._compiler.function(self._output, self._examples(x), outputs, known=known)

    def _shared_forward(self, x: Tensor) -> tuple[Function, Panels] | None:
        """The same without the product of the examples with weights, which takes runs together, and that product.

        None where it gains nothing, or where the model does something else with them.
        """
        own = self._network.layout.size
        if self._num_runs == 1 or x.dim() != 2 or x.numel() < 2 * own or not x.is_floating_point():
            return None
        examples, outputs = self._examples(x), [("outputs", (len(x), self._network.num_outputs), 0)]
        names, layout = list(examples), self._network.layout
        with torch.no_grad(), self._objective.evaluating():
            given = list(examples.values())
            found = cut(self._output, given, names.index("x"), names.index("weights"), layout)
            if found is None:
                return None
            num_rows, width = layout.shapes[found.weights]
            examples["product"] = torch.zeros(num_rows, len(x))
            rest = self._compiler.function(found.program, examples, outputs)
        number = self._compiler.number
        panels = Panels(
            examples=len(x),
            width=width,
            rows=num_rows,
            offset=layout.offsets[found.weights],
            x=number("x"),
            batch=number("rows"),
            block=number("block"),
            weights=number("weights"),
            product=number("product"),
        )
        return rest, panels

    def _output(self, weights_RP: Tensor, x: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        tensors = {name: tensor[0] for name, tensor in zip(self._others, given, strict=True)}
        views = self._network.layout.view_one(weights_RP[0])
        return (self._objective.output({**views, **tensors}, x),)

    def _examples(self, x: Tensor) -> dict[str, Tensor]:
        return {
            "weights": self._params_RP[:1],
            "x": x,
            **{f"others/{name}": tensor[:1] for name, tensor in self._others.items()},
        }

    def _deployment(self, each: Deployed) -> Function:
        names = list(_named(each))
        num_slots = len(each.slots)

        def program(params: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
            slots = dict(zip(each.slots, given[:num_slots], strict=True))
            return (each.point(params, slots, dict(zip(each.hypers, given[num_slots:], strict=True))),)

        examples = {
            "params": self._params_RP[:1],
            **{
                name: t[:1] if t.dim() > 1 else t
                for name, t in zip(names, _named(each).values(), strict=True)
            },
        }
        return self._compiler.function(program, examples, [("weights", (1, self._network.layout.size), 0)])


def _named(each: Deployed) -> dict[str, Tensor]:
    """Slots and hypers by the name of the input."""
    return {
        **{f"slots/{name}": tensor for name, tensor in each.slots.items()},
        **{f"hypers/{name}": tensor for name, tensor in each.hypers.items()},
    }
