"""Augmented batches as machine code: each thread makes one batch after another.

Shapes: G group: runs of one seed and the same strengths, J batch, B example of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from ravine.engine.state import Data
from ravine.native.compiler import Compiler, rows_of
from ravine.native.workers import Jobs, Workers

Augmented = Callable[..., tuple[Tensor, Tensor]]
"""(x, y, rows_B, epoch, seed, strengths by name) -> x and y of a batch."""


class NativeBatches:
    """Makes batches; batch j is one of group j modulo G.

    Args:
        augmented: of one batch.
        data: the examples, all of them.
        rows_JB: those of each batch; read whenever batches are made.
        epochs_J: of each batch; likewise.
        of_group: what differs by group, (G,) each: "seed", and strengths by name.
        found: where the batches are written, x (J, B, ...) and y (J, B[, K]).
        num_threads: at most so many at once.
        team: on PyTorch's threads, where that is possible.

    Raises:
        Unsupported: no machine code is made for some operation.
    """

    def __init__(
        self,
        augmented: Augmented,
        data: Data,
        rows_JB: Tensor,
        epochs_J: Tensor,
        of_group: Mapping[str, Tensor],
        found: Data,
        num_threads: int,
        *,
        team: bool,
    ) -> None:
        compiler, names = Compiler(), [name for name in of_group if name != "seed"]
        self._data, self._rows_JB, self._found = data, rows_JB, found
        # Classes stay whole numbers, which machine code does not write.
        self._copies_y = not found.y.is_floating_point()

        def program(
            x: Tensor, y: Tensor, rows_1B: Tensor, epoch_1: Tensor, seed_1: Tensor, *given_1: Tensor
        ) -> tuple[Tensor, ...]:
            strengths = {name: tensor[0] for name, tensor in zip(names, given_1, strict=True)}
            both = augmented(x, y, rows_1B[0], epoch_1[0], seed_1[0], strengths)
            return both[:1] if self._copies_y else both

        examples = {
            "x": data.x,
            "y": data.y,
            "rows": rows_JB[:1],
            "epoch": epochs_J[:1],
            **{name: tensor[:1] for name, tensor in {"seed": of_group["seed"], **of_group}.items()},
        }
        outputs = [("found/x", tuple(found.x.shape[1:]), 0), ("found/y", tuple(found.y.shape[1:]), 0)]
        function = compiler.function(program, examples, outputs[: 2 - self._copies_y])
        self._compiler = compiler  # whose constants the code reads
        num, num_groups = len(rows_JB), len(of_group["seed"])
        of_batch = {
            "x": [data.x.data_ptr()] * num,
            "y": [data.y.data_ptr()] * num,
            "rows": rows_of(rows_JB),
            "epoch": rows_of(epochs_J),
            "found/x": rows_of(found.x),
            "found/y": rows_of(found.y),
            **{name: rows_of(tensor) * (num // num_groups) for name, tensor in of_group.items()},
        }
        jobs = Jobs(tables_JI=compiler.table(of_batch, num), functions=[[function]] * num, own={})
        self._workers = Workers(jobs, num_threads, team=team)
        self._still_I = np.zeros(len(compiler.numbers), dtype=np.int64)

    def __call__(self, num: int, wanted: np.ndarray | None = None) -> None:
        """Make the first batches, so many of them; or those of them that are wanted, by number."""
        batches = np.arange(num) if wanted is None else wanted
        self._workers.run(batches, 1, self._still_I, np.zeros(len(self._rows_JB), dtype=np.uint8))
        if self._copies_y:
            rows_JB = self._rows_JB[:num]
            torch.index_select(self._data.y, 0, rows_JB.flatten(), out=self._found.y[:num].view(-1))
