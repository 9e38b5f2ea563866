"""What goes into a model's norms, batch by batch, as machine code: means and variances for many runs.

Shapes: R run, P numbers of one run, T batch, B example of a batch, M moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ravine.native.compiler import Compiler, rows_of
from ravine.native.workers import Jobs, Workers
from ravine.tensors import Layout

Pass = Callable[[Tensor, Mapping[str, Tensor], Tensor], Sequence[Tensor]]
"""(weights_P, others, x) -> the moments of each call of a norm; of one run."""


class NativeMoments:
    """The moments of batches of one size.

    Args:
        one: of one run.
        layout: where the moments lie in a row.
        examples: weights and every other tensor of some run, each (1, ...).
        x: the training set.
        size: B.
        num_threads: runs that are taken at once.

    Raises:
        Unsupported: no machine code is made for some operation of the model.
        Untraceable: what it does depends on numbers in tensors.
    """

    def __init__(
        self,
        one: Pass,
        layout: Layout,
        examples: tuple[Tensor, Mapping[str, Tensor]],
        x: Tensor,
        size: int,
        num_threads: int,
    ) -> None:
        weights_1P, others = examples
        self._compiler, self._x, self._layout = Compiler(), x, layout
        self._names, self._num_threads = list(others), num_threads

        def program(weights_1P: Tensor, x: Tensor, rows_B: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
            tensors = {name: tensor[0] for name, tensor in zip(self._names, given, strict=True)}
            return tuple(one(weights_1P[0], tensors, x.index_select(0, rows_B)))

        given = {
            "weights": weights_1P,
            "x": x,
            "rows": torch.zeros(size, dtype=torch.int64),
            **{f"others/{name}": tensor.clone() for name, tensor in others.items()},
        }
        outputs = [("moments", shape, at) for shape, at in zip(layout.shapes, layout.offsets, strict=True)]
        self._function = self._compiler.function(program, given, outputs, trusted=("rows",))

    def __call__(
        self, params_RP: Tensor, others: Mapping[str, Tensor], rows: Sequence[int], batches_TB: Tensor
    ) -> Tensor:
        """The moments of some runs, (R', T, M).

        Args:
            params_RP: the weights of all runs.
            others: every other tensor of the model, (R, ...) by name.
            rows: the runs.
            batches_TB: the examples of each batch.
        """
        num_runs, (num_batches, size) = len(params_RP), batches_TB.shape
        found = torch.zeros(num_runs, num_batches, self._layout.size)
        of_run = {
            "weights": rows_of(params_RP),
            "x": [self._x.data_ptr()] * num_runs,
            "rows": [batches_TB.data_ptr()] * num_runs,
            "moments": rows_of(found),
            **{f"others/{name}": rows_of(others[name]) for name in self._names},
        }
        jobs = Jobs(
            tables_JI=self._compiler.table(of_run, num_runs), functions=[[self._function]] * num_runs, own={}
        )
        steps_I = np.zeros(len(self._compiler.numbers), dtype=np.int64)
        steps_I[self._compiler.number("rows")] = 8 * size
        steps_I[self._compiler.number("moments")] = 4 * self._layout.size
        workers = Workers(jobs, self._num_threads)
        workers.run(np.asarray(rows), num_batches, steps_I, np.zeros(num_runs, dtype=np.uint8))
        return found[list(rows)]
