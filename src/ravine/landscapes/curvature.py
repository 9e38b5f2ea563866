"""Loss, gradient and products with the Hessian of many runs at once.

The loss is that of the data alone, without any penalty on weights, as the network is in eval mode: no dropout, and
BatchNorm uses the averages that each run has stored. Examples are taken in chunks, so that memory does not grow with
their number.

Shapes: R run, N example, P numbers of one run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from ravine.engine.objective import Objective, curvature_chunk, gradient, product
from ravine.engine.state import Data
from ravine.engine.traced.threads import Threads


class Curvature:
    """The loss of some runs around their weights.

    Args:
        objective: of the runs: all at once, or of one run.
        data: the examples.
        params_RP: the runs' parameters; float64 where more digits are wanted than float32 has.
        others: every other tensor of the model, (R, ...) by name.
        unit: what the loss is multiplied by.
        threads: chooses how many threads a product takes; None: as many as there are.
        chunk: examples that go through the network at once; None: as many as bound its memory.
    """

    def __init__(
        self,
        objective: Objective,
        data: Data,
        params_RP: Tensor,
        others: Mapping[str, Tensor],
        *,
        unit: float = 1.0,
        threads: Threads | None = None,
        chunk: int | None = None,
    ) -> None:
        assert objective.fused or len(params_RP) == 1, "without vmap there is one run"
        self._objective, self._layout, self._unit = objective, objective.network.layout, unit
        self._params_RP, dtype, self._threads = params_RP, params_RP.dtype, threads
        self._others = {name: t.to(dtype) if t.is_floating_point() else t for name, t in others.items()}
        self._x = data.x.to(dtype) if data.x.is_floating_point() else data.x
        self._y = data.y.to(dtype) if data.y.is_floating_point() else data.y
        self._size = chunk or curvature_chunk(data.x, len(params_RP))
        self._graph: tuple[list[Tensor], tuple[Tensor, ...]] | None = (
            None  # of the gradient, if one chunk is all
        )

    def losses(self, points_RP: Tensor) -> Tensor:
        """The loss of each run at weights of its own, (R,)."""
        with torch.no_grad(), self._objective.evaluating():
            views = list(self._layout.views(points_RP).values())
            return torch.stack([self._chunk_loss(views, part) for part in self._parts()]).sum(0)

    def gradient(self) -> tuple[Tensor, Tensor]:
        """Loss (R,) and gradient (R, P) at the runs' weights."""
        loss_R, grad_RP = torch.zeros_like(self._params_RP[:, 0]), torch.zeros_like(self._params_RP)
        with torch.enable_grad(), self._objective.evaluating():
            for part in self._parts():
                views = self._leaves()
                loss = self._chunk_loss(views, part)
                loss_R += loss.detach()
                grad_RP += self._packed(gradient(loss.sum(), views))
        return loss_R, grad_RP

    def product(self, vectors_RP: Tensor) -> Tensor:
        """The Hessian of each run times a vector of its own, (R, P), by a second backward pass (Pearlmutter, 1994)."""
        if self._threads is None:
            return self._product(vectors_RP)
        found: list[Tensor] = []
        self._threads.run(lambda: found.append(self._product(vectors_RP)))
        return found[0]

    def _product(self, vectors_RP: Tensor) -> Tensor:
        along = [view.contiguous() for view in self._layout.views(vectors_RP).values()]
        found_RP = torch.zeros_like(self._params_RP)
        with torch.enable_grad(), self._objective.evaluating():
            for part in self._parts():
                views, grads = self._graph or self._gradient_graph(part)
                if self._size >= len(self._y):
                    self._graph = views, grads
                found = product(grads, views, along, again=self._graph is not None)
                if found is not None:
                    found_RP += self._packed(found)
        return found_RP

    def _gradient_graph(self, part: slice) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        views = self._leaves()
        return views, gradient(self._chunk_loss(views, part).sum(), views, with_graph=True)

    def _chunk_loss(self, views: list[Tensor], part: slice) -> Tensor:
        """What some examples add to the mean loss of each run, (R,)."""
        x, y = self._x[part], self._y[part]
        tensors = {**dict(zip(self._layout.names, views, strict=True)), **self._others}
        return self._unit * len(y) / len(self._y) * self._objective.mean_loss(tensors, x, y)

    def _parts(self) -> Iterator[slice]:
        for start in range(0, len(self._y), self._size):
            yield slice(start, min(start + self._size, len(self._y)))

    def _leaves(self) -> list[Tensor]:
        views = self._layout.views(self._params_RP)
        return [view.detach().requires_grad_() for view in views.values()]

    def _packed(self, tensors: tuple[Tensor, ...]) -> Tensor:
        return self._layout.pack(dict(zip(self._layout.names, tensors, strict=True))).detach()
