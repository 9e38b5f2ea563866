"""Products of the Hessians of many runs with vectors, as machine code.

Shapes: R run, P numbers of one run, N example, I input.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ravine.engine.loss import example_losses
from ravine.engine.network import Network
from ravine.engine.state import Data
from ravine.native.function import Function
from ravine.native.inputs import Inputs, rows_of
from ravine.native.workers import Jobs, Workers
from ravine.nn.functional import batched_kernels

_CHUNK, _PICTURE_CHUNK = 128, 32  # examples that go through the network at once: their numbers stay in caches


class NativeProducts:
    """The Hessian of each run's loss times a vector of its own, in eval mode; each thread takes one run after another.

    Gradient and second backward pass are traced together, and compiled as a step of training is.

    Args:
        network: the runs' model.
        task: "classification" or "regression".
        data: the examples.
        params_RP: the runs' parameters.
        others: every other tensor of the model, (R, ...) by name.
        unit: what the loss is multiplied by.

    Raises:
        Unsupported: no machine code is made for some operation.
        Untraceable: what the model does depends on numbers in tensors.
    """

    def __init__(
        self,
        network: Network,
        task: str,
        data: Data,
        params_RP: Tensor,
        others: Mapping[str, Tensor],
        *,
        unit: float = 1.0,
    ) -> None:
        self._network, self._task = network, task
        self._params_RP, self._others = params_RP, {name: t.contiguous() for name, t in others.items()}
        self._vectors_RP, self._found_RP = torch.zeros_like(params_RP), torch.zeros_like(params_RP)
        self._x, self._y = data.x.contiguous(), data.y.contiguous()
        num = len(self._y)
        self._chunk = min(num, _PICTURE_CHUNK if self._x.dim() > 2 else _CHUNK)
        # What an example counts. The last chunk begins so early that it is whole; what was in the one before counts 0.
        share, rest = unit / num, num % self._chunk
        self._shares = torch.full((num,), share)
        self._last = torch.cat([torch.zeros(self._chunk - rest), torch.full((rest,), share)])
        self._inputs = Inputs()
        functions: list[Function | None] = [self._product(), self._sum()]
        of_run = {
            "weights": rows_of(params_RP),
            "vector": rows_of(self._vectors_RP),
            "found": rows_of(self._found_RP),
            **{f"others/{name}": rows_of(tensor) for name, tensor in self._others.items()},
        }
        self._jobs = Jobs(
            tables_JI=self._inputs.table(of_run, len(params_RP)),
            functions=[functions] * len(params_RP),
            own={self._inputs.number("part"): 4 * network.layout.size},
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
                i, far = self._inputs.number(name), tensor[0].numel() * tensor.element_size()
                self._jobs.tables_JI[:, i] = tensor.data_ptr() + start * far
                steps_I[i] = chunk * far
            if times:
                self._workers.run(np.arange(num_runs), times, steps_I, stopped_R)
        return self._found_RP.clone()

    def _product(self) -> Function:
        """weights, vector -> part: the product over some examples."""
        layout, pure = self._network.layout, self._network.pure

        def program(
            weights: Tensor, vector: Tensor, x: Tensor, y: Tensor, share: Tensor, *given: Tensor
        ) -> tuple[Tensor, ...]:
            views = [view.detach().requires_grad_() for view in layout.view_one(weights[0]).values()]
            others = {name: tensor[0] for name, tensor in zip(self._others, given, strict=True)}
            with torch.enable_grad(), batched_kernels():
                tensors = {**dict(zip(layout.names, views, strict=True)), **others}
                losses, _ = example_losses(self._task, pure(tensors, {}, x.clone())[0], y)
                grads = torch.autograd.grad(
                    (losses * share).sum(),
                    views,
                    create_graph=True,
                    allow_unused=True,
                    materialize_grads=True,
                )
                along = layout.view_one(vector[0]).values()
                slope = torch.stack([(g * v).sum() for g, v in zip(grads, along, strict=True)]).sum()
                if not slope.requires_grad:  # the loss is linear in all weights
                    return (torch.zeros_like(weights),)
                found = torch.autograd.grad(slope, views, allow_unused=True, materialize_grads=True)
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
        self._network.module.eval()
        try:
            return self._inputs.function(program, examples, [("part", (1, layout.size), 0)])
        finally:
            self._network.module.train()

    def _sum(self) -> Function:
        """found, part -> found."""

        def program(found: Tensor, part: Tensor) -> tuple[Tensor, ...]:
            found.add_(part)
            return ()

        examples = {"found": self._found_RP[:1].clone(), "part": self._params_RP[:1]}
        return self._inputs.function(program, examples, [])
