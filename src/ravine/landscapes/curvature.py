"""Loss, gradient and products with the Hessian of many runs at once.

The loss is that of the data alone, without any penalty on weights, as the network is in eval mode: no dropout, and
BatchNorm uses the averages that each run has stored. Examples are taken in chunks, so that memory does not grow with
their number.

Shapes: R run, N example, P numbers of one run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.func import vmap

from ravine.engine.loss import loss_of
from ravine.engine.network import Network
from ravine.engine.state import Data
from ravine.engine.traced.threads import Threads
from ravine.nn.functional import batched_kernels

# Examples times runs in one pass: bounds the memory of activations, of which a second derivative keeps several.
_CHUNK, _PICTURE_CHUNK = 1 << 15, 512


class Curvature:
    """The loss of some runs around their weights.

    Args:
        network: their model.
        task: "classification" or "regression".
        data: the examples.
        params_RP: the runs' parameters; float64 where more digits are wanted than float32 has.
        others: every other tensor of the model, (R, ...) by name.
        unit: what the loss is multiplied by.
        fused: all runs at once under vmap; False: there must be one run.
        threads: chooses how many threads a product takes; None: as many as there are.
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
        fused: bool = True,
        threads: Threads | None = None,
    ) -> None:
        assert fused or len(params_RP) == 1, "without vmap there is one run"
        self._network, self._loss, self._unit, self._fused = network, loss_of(task), unit, fused
        self._params_RP, dtype, self._threads = params_RP, params_RP.dtype, threads
        self._others = {name: t.to(dtype) if t.is_floating_point() else t for name, t in others.items()}
        self._x = data.x.to(dtype) if data.x.is_floating_point() else data.x
        self._y = data.y.to(dtype) if data.y.is_floating_point() else data.y
        limit = _PICTURE_CHUNK if data.x.dim() == 4 else _CHUNK
        self._size = max(16, limit // len(params_RP))
        self._graph: tuple[list[Tensor], tuple[Tensor, ...]] | None = (
            None  # of the gradient, if one chunk is all
        )

    def losses(self, points_RP: Tensor) -> Tensor:
        """The loss of each run at weights of its own, (R,)."""
        with torch.no_grad(), self._eval():
            views = list(self._network.layout.views(points_RP).values())
            return torch.stack([self._chunk_loss(views, part) for part in self._parts()]).sum(0)

    def gradient(self) -> tuple[Tensor, Tensor]:
        """Loss (R,) and gradient (R, P) at the runs' weights."""
        loss_R, grad_RP = torch.zeros_like(self._params_RP[:, 0]), torch.zeros_like(self._params_RP)
        with torch.enable_grad(), self._eval():
            for part in self._parts():
                views = self._leaves()
                loss = self._chunk_loss(views, part)
                grads = torch.autograd.grad(loss.sum(), views, allow_unused=True, materialize_grads=True)
                loss_R += loss.detach()
                grad_RP += self._packed(grads)
        return loss_R, grad_RP

    def product(self, vectors_RP: Tensor) -> Tensor:
        """The Hessian of each run times a vector of its own, (R, P), by a second backward pass (Pearlmutter, 1994)."""
        if self._threads is None:
            return self._product(vectors_RP)
        found: list[Tensor] = []
        self._threads.run(lambda: found.append(self._product(vectors_RP)))
        return found[0]

    def _product(self, vectors_RP: Tensor) -> Tensor:
        along = [view.contiguous() for view in self._network.layout.views(vectors_RP).values()]
        found_RP = torch.zeros_like(self._params_RP)
        with torch.enable_grad(), self._eval():
            for part in self._parts():
                views, grads = self._graph or self._gradient_graph(part)
                if self._size >= len(self._y):
                    self._graph = views, grads
                slope = sum((grad * vector).sum() for grad, vector in zip(grads, along, strict=True))
                assert isinstance(slope, Tensor), "a network has parameters"
                if not slope.requires_grad:  # the loss is linear in all weights
                    continue
                # No run's loss depends on another's weights: the sum's derivative holds that of each.
                seconds = torch.autograd.grad(
                    slope,
                    views,
                    retain_graph=self._graph is not None,
                    allow_unused=True,
                    materialize_grads=True,
                )
                found_RP += self._packed(seconds)
        return found_RP

    def _gradient_graph(self, part: slice) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        views = self._leaves()
        loss = self._chunk_loss(views, part).sum()
        grads = torch.autograd.grad(loss, views, create_graph=True, allow_unused=True, materialize_grads=True)
        return views, grads

    def _chunk_loss(self, views: list[Tensor], part: slice) -> Tensor:
        """What some examples add to the mean loss of each run, (R,)."""
        x, y = self._x[part], self._y[part]
        tensors = {**dict(zip(self._network.layout.names, views, strict=True)), **self._others}

        def one(tensors: Mapping[str, Tensor]) -> Tensor:
            return self._loss(self._network.pure(tensors, {}, x.clone())[0], y)[0]

        share = self._unit * len(y) / len(self._y)
        if self._fused:
            return share * vmap(one)(tensors)
        return share * one({name: tensor[0] for name, tensor in tensors.items()})[None]

    def _parts(self) -> Iterator[slice]:
        for start in range(0, len(self._y), self._size):
            yield slice(start, min(start + self._size, len(self._y)))

    def _leaves(self) -> list[Tensor]:
        views = self._network.layout.views(self._params_RP)
        return [view.detach().requires_grad_() for view in views.values()]

    def _packed(self, tensors: tuple[Tensor, ...]) -> Tensor:
        return self._network.layout.pack(dict(zip(self._network.layout.names, tensors, strict=True))).detach()

    @contextmanager
    def _eval(self) -> Iterator[None]:
        self._network.module.eval()
        try:
            with batched_kernels():
                yield
        finally:
            self._network.module.train()
