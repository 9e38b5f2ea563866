"""Newton's method with the exact Hessian."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ravine.optim.base import Params
from ravine.optim.closure import Closure, SearchingOptimizer
from ravine.second.dense import newton_direction, require_room
from ravine.second.line_search import MOST

__all__ = ["Newton"]


class Newton(SearchingOptimizer):
    """Newton's method with the exact Hessian, for a closure that does not call backward.

    ``x <- x - t (H + damping I)^-1 g``, with ``abs(H)``, its eigenvalues made positive, if `saddle_free`.

    Args:
        params: one group of real parameters with one dtype and device. H takes P x P numbers for P parameters, and
            its eigenvalues about P^3 operations.
        max_iter: iterations per call of `step`, at least 1.
        damping: added to the diagonal of H, at least 0.
        saddle_free: whether directions of negative curvature lead downhill. If not, and without a line search, the
            method goes to any point with gradient 0: a minimum, a saddle or a maximum.
        line_search: whether t is searched for by the strong Wolfe conditions; else it is 1. Where Newton's direction
            does not lead downhill, the search follows the negative gradient.
        tolerance_grad: a minimum is reached where no number of the gradient is larger than this, in absolute value.
        c1: share of the promised decrease that a step must bring, in (0, c2).
        c2: share of the slope that may be left, in (c1, 1).

    Raises:
        ValueError: an argument is out of range, or parameters have several groups, dtypes or devices.
        ModelError: H does not fit into memory.

    Example:
        >>> import torch
        >>> x = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
        >>> optimizer = Newton([x], max_iter=1)
        >>> _ = optimizer.step(lambda: (x[0] - 1) ** 2 + 10 * (x[1] - x[0]) ** 2)
        >>> [round(value, 4) for value in x.tolist()]
        [1.0, 1.0]

    References:
        Nocedal and Wright, Numerical Optimization, 2006, chapter 3; Dauphin et al., 2014, for `saddle_free`.
    """

    def __init__(
        self,
        params: Params,
        *,
        max_iter: int = 1,
        damping: float = 0.0,
        saddle_free: bool = False,
        line_search: bool = False,
        tolerance_grad: float = 1e-7,
        c1: float = 1e-4,
        c2: float = 0.9,
    ) -> None:
        super().__init__(
            params,
            {
                "max_iter": max_iter,
                "damping": damping,
                "saddle_free": saddle_free,
                "line_search": line_search,
                "tolerance_grad": tolerance_grad,
                "c1": c1,
                "c2": c2,
            },
        )
        first = self._params[0]
        require_room(sum(param.numel() for param in self._params), first.dtype, first.device, "Newton")

    @torch.no_grad()
    def step(self, closure: Closure) -> Any:  # type: ignore[override]
        """Take up to `max_iter` iterations on the closure's loss.

        Args:
            closure: computes the loss and returns it as a tensor with its graph, without ``backward()``. During one
                call of `step` it must return the same loss at the same parameters.

        Returns:
            The loss before the first iteration.

        Raises:
            RuntimeError: the loss has no graph to differentiate, or a gradient is sparse.
        """
        group, before = self.param_groups[0], None
        for _ in range(group["max_iter"]):
            loss, grad_P, hessian_PP = self._curvature(closure)
            before = loss if before is None else before
            if self._done(float(loss), grad_P) or not bool(torch.isfinite(hessian_PP).all()):
                break
            direction_P = newton_direction(
                hessian_PP[None], grad_P[None], group["damping"], group["saddle_free"]
            )[0]
            if not group["line_search"]:
                self._move(self._point() + direction_P)
                continue
            if not float(grad_P @ direction_P) < 0.0:
                direction_P = -grad_P
            if self._search(closure, float(loss), grad_P, direction_P, 1.0, MOST) is None:
                break
        return before

    def _evaluate(self, closure: Closure) -> tuple[Any, Tensor]:
        self._kept["num_evaluations"] = self.num_evaluations + 1
        with torch.enable_grad():
            loss = self._checked(closure())
            grads = torch.autograd.grad(loss, self._params, allow_unused=True, materialize_grads=True)
        return loss.detach(), _flat(grads)

    def _curvature(self, closure: Closure) -> tuple[Tensor, Tensor, Tensor]:
        """Loss, gradient (P,) and Hessian (P, P), the last by a second backward pass under vmap."""
        self._kept["num_evaluations"] = self.num_evaluations + 1
        with torch.enable_grad():
            loss = self._checked(closure())
            grads = torch.autograd.grad(
                loss, self._params, create_graph=True, allow_unused=True, materialize_grads=True
            )
            grad_P = _flat(grads)
            size = len(grad_P)
            if not grad_P.requires_grad:  # a loss that is linear
                return loss.detach(), grad_P.detach(), grad_P.new_zeros((size, size))
            rows = torch.autograd.grad(
                grad_P,
                self._params,
                torch.eye(size, dtype=grad_P.dtype, device=grad_P.device),
                is_grads_batched=True,
                allow_unused=True,
                materialize_grads=True,
            )
        hessian_PP = torch.cat([row.reshape(size, -1) for row in rows], 1)
        return loss.detach(), grad_P.detach(), 0.5 * (hessian_PP + hessian_PP.mT)

    def _checked(self, loss: Any) -> Tensor:
        if not isinstance(loss, Tensor) or not loss.requires_grad:
            raise RuntimeError(
                "Newton: the closure must return the loss as a tensor with its graph: no detach(), item() or no_grad()"
            )
        return loss


def _flat(grads: Sequence[Tensor]) -> Tensor:
    """Gradients side by side, (P,)."""
    if any(grad.is_sparse for grad in grads):  # which PyTorch cannot differentiate under vmap
        raise RuntimeError(
            "Newton does not support sparse gradients; use a dense one (nn.Embedding(sparse=False)) or LBFGS"
        )
    return torch.cat([grad.reshape(-1) for grad in grads])
