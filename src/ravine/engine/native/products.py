"""Products of the Hessians of many runs with vectors, as machine code.

Shapes: R run, P numbers of one run, N example, I input.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ravine.engine.objective import Objective, gradient, native_chunk, product
from ravine.engine.state import Data
from ravine.native.compiler import Compiler, rows_of
from ravine.native.function import Function
from ravine.native.workers import Jobs, Workers


class NativeProducts:
    """The Hessian of each run's loss times a vector of its own, in eval mode; each thread takes one run after another.

    Gradient and second backward pass are traced together, and compiled as a step of training is.

    Args:
        objective: the runs'.
        data: the examples.
        params_RP: the runs' parameters.
        others: every other tensor of the model, (R, ...) by name.
        unit: what the loss is multiplied by.
        chunk: examples that go through the network at once; None: as many as keep its numbers in caches.

    Raises:
        Unsupported: no machine code is made for some operation.
        Untraceable: what the model does depends on numbers in tensors.
    """

    def __init__(
        self,
        objective: Objective,
        data: Data,
        params_RP: Tensor,
        others: Mapping[str, Tensor],
        *,
        unit: float = 1.0,
        chunk: int | None = None,
    ) -> None:
        self._objective, self._network = objective, objective.network
        self._params_RP, self._others = params_RP, {name: t.contiguous() for name, t in others.items()}
        self._vectors_RP, self._found_RP = torch.zeros_like(params_RP), torch.zeros_like(params_RP)
        self._x, self._y = data.x.contiguous(), data.y.contiguous()
        num = len(self._y)
        self._chunk = min(num, chunk or native_chunk(self._x, second=True))
        # What an example counts. The last chunk begins so early that it is whole; what was in the one before counts 0.
        share, rest = unit / num, num % self._chunk
        self._shares = torch.full((num,), share)
        self._last = torch.cat([torch.zeros(self._chunk - rest), torch.full((rest,), share)])
        self._compiler = Compiler()
        functions: list[Function | None] = [self._product(), self._sum()]
        of_run = {
            "weights": rows_of(params_RP),
            "vector": rows_of(self._vectors_RP),
            "found": rows_of(self._found_RP),
            **{f"others/{name}": rows_of(tensor) for name, tensor in self._others.items()},
        }
        self._jobs = Jobs(
            tables_JI=self._compiler.table(of_run, len(params_RP)),
            functions=[functions] * len(params_RP),
            own={self._compiler.number("part"): 4 * self._network.layout.size},
        )
        self._workers = Workers(self._jobs, torch.get_num_threads())

    def __call__(self, vectors_RP: Tensor) -> Tensor:
        """The products, (R, P).

        Args:
            vectors_RP: zeros where no parameter lies.
        """
        self._vectors_RP.copy_(vectors_RP)
        self._found_RP.zero_()
        num, chunk, num_runs = len(self._y), self._chunk, len(vectors_RP)
        stopped_R = np.zeros(num_runs, dtype=np.uint8)
        steps_I = np.zeros(self._jobs.tables_JI.shape[1], dtype=np.int64)
        passes = ((0, num // chunk, self._shares), (num - chunk, int(num % chunk > 0), self._last))
        for first, times, shares in passes:
            for name, tensor, start in (("x", self._x, first), ("y", self._y, first), ("share", shares, 0)):
                i, far = self._compiler.number(name), tensor[0].numel() * tensor.element_size()
                self._jobs.tables_JI[:, i] = tensor.data_ptr() + start * far
                steps_I[i] = chunk * far
            if times:
                self._workers.run(np.arange(num_runs), times, steps_I, stopped_R)
        return self._found_RP.clone()

    def _product(self) -> Function:
        """weights, vector -> part: the product over some examples."""
        layout = self._network.layout

        def program(
            weights: Tensor, vector: Tensor, x: Tensor, y: Tensor, share: Tensor, *given: Tensor
        ) -> tuple[Tensor, ...]:
            views = [view.detach().requires_grad_() for view in layout.view_one(weights[0]).values()]
            others = {name: tensor[0] for name, tensor in zip(self._others, given, strict=True)}
            with torch.enable_grad():
                tensors = {**dict(zip(layout.names, views, strict=True)), **others}
                losses = self._objective.each_loss(tensors, x, y)
                grads = gradient((losses * share).sum(), views, with_graph=True)
                found = product(grads, views, list(layout.view_one(vector[0]).values()))
            if found is None:
                return (torch.zeros_like(weights),)
            return (layout.pack(dict(zip(layout.names, found, strict=True))).detach()[None],)

        some = self._chunk
        examples = {
            "weights": self._params_RP[:1],
            "vector": self._params_RP[:1].clone(),
            "x": self._x[:some],
            "y": self._y[:some],
            "share": self._shares[:some],
            **{f"others/{name}": tensor[:1] for name, tensor in self._others.items()},
        }
        with self._objective.evaluating():
            return self._compiler.function(program, examples, [("part", (1, layout.size), 0)], trusted=("y",))

    def _sum(self) -> Function:
        """found, part -> found."""

        def program(found: Tensor, part: Tensor) -> tuple[Tensor, ...]:
            found.add_(part)
            return ()

        examples = {"found": self._found_RP[:1].clone(), "part": self._params_RP[:1]}
        return self._compiler.function(program, examples, [])
