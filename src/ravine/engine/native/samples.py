"""Monte Carlo passes of many runs of one model as machine code; each thread takes one run after another.

Shapes: R run, N example, B example of a chunk, S sample, K output, L stochastic layer.
"""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from torch import Tensor

from ravine.engine.objective import Objective
from ravine.engine.passes import Points, Sampling, drawing, sampled
from ravine.errors import in_a_line
from ravine.native.compiler import Compiler, rows_of
from ravine.native.function import Function
from ravine.native.workers import Jobs, Workers
from ravine.trace import Untraceable

_Shape = tuple[int, ...]


@final
class NativeSamples:
    """Evaluates samples of runs.

    Args:
        objective: of the runs.
        points: the runs, whose memory stays where it is.
        sampling: which samples.
    """

    def __init__(self, objective: Objective, points: Points, sampling: Sampling) -> None:
        self._objective, self._points, self._sampling = objective, points, sampling
        self._layers = objective.network.layers
        self._given = {**points.others, **points.rates}
        self._compiler = Compiler()
        self._made: dict[_Shape, tuple[Workers, Jobs]] = {}

    def __call__(self, x: Tensor, examples_N: Tensor, chunk: int) -> Tensor:
        """Outputs (R, N, S, K) of examples with these numbers, so many at once.

        Raises:
            Unsupported: no machine code is made for some operation of the model.
            Untraceable: the model's operations depend on the numbers that flow through it.
        """
        x, width = x.contiguous(), self._objective.network.num_outputs
        num_runs, num, samples = len(self._points), len(x), self._sampling.samples
        outputs_RNSK = torch.empty(num_runs, num, samples, width)
        for block in self._sampling.blocks():
            # A block's outputs lie side by side; with one block that is where they are wanted.
            alone = len(block) == samples
            found = outputs_RNSK if alone else torch.empty(num_runs, num, len(block), width)
            keys = self._sampling.keys(self._layers, torch.tensor(self._points.seeds), examples_N, block)
            whole = num // chunk
            self._run(x, keys, found, chunk, 0, whole)
            if num % chunk:
                self._run(x, keys, found, num % chunk, whole * chunk, 1)
            if not alone:
                outputs_RNSK[:, :, block.start - 1 : block.stop - 1] = found
        return outputs_RNSK

    def _run(
        self, x: Tensor, keys: dict[str, Tensor], outputs: Tensor, chunk: int, first: int, times: int
    ) -> None:
        """So many chunks, from an example on."""
        if not times:
            return
        num_runs, samples = len(self._points), outputs.shape[2]
        shape = (chunk, samples, *x.shape[1:])
        if shape not in self._made:
            self._made[shape] = self._compiled(x[:chunk], keys, chunk, samples)
        workers, jobs = self._made[shape]
        moving = {"x": ([x.data_ptr()] * num_runs, 4 * x[0].numel())}
        per_example = self._sampling.draw == "example"
        for name, tensor in keys.items():
            moving[f"keys/{name}"] = (rows_of(tensor), 8 * samples if per_example else 0)
        moving["outputs"] = (rows_of(outputs), 4 * outputs.shape[2] * outputs.shape[3])
        steps_I = np.zeros(jobs.tables_JI.shape[1], dtype=np.int64)
        for name, (starts, far) in moving.items():
            i = self._compiler.number(name)
            jobs.tables_JI[:, i] = np.asarray(starts) + first * far
            steps_I[i] = chunk * far
        workers.run(np.arange(num_runs), times, steps_I, np.zeros(num_runs, dtype=np.uint8))

    def _compiled(self, x: Tensor, keys: dict[str, Tensor], chunk: int, samples: int) -> tuple[Workers, Jobs]:
        function = self._function(x, keys, chunk, samples)
        of_run = {
            "weights": rows_of(self._points.params_RP),
            **{f"given/{name}": rows_of(tensor) for name, tensor in self._given.items()},
        }
        num_runs = len(self._points)
        jobs = Jobs(
            tables_JI=self._compiler.table(of_run, num_runs), functions=[[function]] * num_runs, own={}
        )
        return Workers(jobs, torch.get_num_threads()), jobs

    def _function(self, x: Tensor, keys: dict[str, Tensor], chunk: int, samples: int) -> Function:
        network, draw = self._objective.network, self._sampling.draw
        passes = sampled(self._objective, draw)
        num_given = len(self._given)

        def program(weights_RP: Tensor, x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
            given = {name: t[0] for name, t in zip(self._given, rest[:num_given], strict=True)}
            own = {name: t[0] for name, t in zip(keys, rest[num_given:], strict=True)}
            return (passes({**network.layout.view_one(weights_RP[0]), **given}, own, x),)

        example = {name: (t[:1, :chunk] if draw == "example" else t[:1]) for name, t in keys.items()}
        examples = {
            "weights": self._points.params_RP[:1],
            "x": x,
            **{f"given/{name}": tensor[:1] for name, tensor in self._given.items()},
            **{f"keys/{name}": tensor.clone() for name, tensor in example.items()},
        }
        shape = (chunk, samples, network.num_outputs)
        with drawing(self._objective):
            try:
                return self._compiler.function(program, examples, [("outputs", shape, 0)])
            except (RuntimeError, ValueError) as error:  # of vmap
                raise Untraceable(in_a_line(error)) from error
