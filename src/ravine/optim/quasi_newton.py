"""L-BFGS and BFGS: they learn curvature from how the gradient changes."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from ravine.optim.base import Params
from ravine.optim.closure import Closure, SearchingOptimizer
from ravine.rules.bfgs import updated
from ravine.rules.searching import curved
from ravine.second.dense import require_room
from ravine.second.history import History

__all__ = ["BFGS", "LBFGS"]


class _QuasiNewton(SearchingOptimizer):
    """The loop that both methods share."""

    @torch.no_grad()
    def step(self, closure: Closure) -> Any:  # type: ignore[override]
        """Take up to `max_iter` iterations on the closure's loss.

        The closure is first evaluated at the current parameters, so that both gradients of a pair come from the same
        closure, and so from the same batch if each call of `step` has one of its own.

        Args:
            closure: sets the gradients to zero, computes the loss, calls ``backward()`` and returns the loss. During
                one call of `step` it must return the same loss at the same parameters.

        Returns:
            The loss before the first iteration.
        """
        group = self.param_groups[0]
        before, grad_P = self._evaluate(closure)
        loss = float(before)
        end = self.num_evaluations - 1 + (group["max_eval"] or math.inf)
        for _ in range(group["max_iter"]):
            if self._done(loss, grad_P) or self.num_evaluations >= end:
                break
            direction_P = self._direction(grad_P)
            if not float(grad_P @ direction_P) < 0.0:
                self._forget()
                direction_P = -grad_P
            first = 1.0 if self._num_pairs else 1.0 / float(torch.linalg.vector_norm(grad_P))
            found = self._search(closure, loss, grad_P, direction_P, first, end - self.num_evaluations)
            if found is None:
                if not self._num_pairs or self.num_evaluations >= end:
                    break
                self._forget()
                continue
            value, new_P, step_P = found
            change_P = new_P - grad_P
            if bool(curved(step_P, change_P)):
                self._learn(step_P, change_P)
            loss, grad_P = float(value), new_P
        return before

    @property
    def _num_pairs(self) -> int:
        """How many pairs the curvature was learned from."""
        return int(self._kept.get("num_pairs", 0))

    @abstractmethod
    def _direction(self, grad_P: Tensor) -> Tensor:
        """The direction to search along, (P,)."""

    @abstractmethod
    def _learn(self, s_P: Tensor, y_P: Tensor) -> None:
        """Learn from a step s and the change y of the gradient over it, with s'y > 0; (P,) each."""

    def _forget(self) -> None:
        """Start without pairs again."""
        self._kept["num_pairs"] = 0


class LBFGS(_QuasiNewton):
    """Limited-memory BFGS with a strong Wolfe line search, for a closure.

    ``x <- x - t H g``, with H from the last `history_size` pairs ``s = x' - x``, ``y = g' - g`` and t searched for.

    Args:
        params: one group of real parameters with one dtype and device.
        max_iter: iterations per call of `step`, at least 1.
        max_eval: evaluations per call of `step`, at least 1; None: no bound, except 20 per line search.
        tolerance_grad: a minimum is reached where no number of the gradient is larger than this, in absolute value.
            Nothing else stops early, in particular not a small change of the loss.
        history_size: pairs that are remembered, at least 1; each takes two copies of the parameters.
        c1: share of the promised decrease that a step must bring, in (0, c2).
        c2: share of the slope that may be left, in (c1, 1).

    Raises:
        ValueError: an argument is out of range, or parameters have several groups, dtypes or devices.

    Differs from torch.optim.LBFGS: it always has a line search, and so no lr; it remembers 10 pairs, not 100, and only
    those with ``s'y > eps y'y`` whose gradients come from one closure; there is no `tolerance_change`; and a loss that
    is not finite shortens the step.

    Example:
        >>> import torch
        >>> x = torch.nn.Parameter(torch.tensor([-1.2, 1.0]))
        >>> optimizer = LBFGS([x], max_iter=100)
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
        ...     loss.backward()
        ...     return loss
        >>> _ = optimizer.step(closure)
        >>> [round(value, 3) for value in x.tolist()]
        [1.0, 1.0]

    References:
        Liu and Nocedal, 1989; Byrd, Nocedal and Schnabel, 1994, for the form without a loop over pairs.
    """

    def __init__(
        self,
        params: Params,
        *,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        history_size: int = 10,
        c1: float = 1e-4,
        c2: float = 0.9,
    ) -> None:
        super().__init__(
            params,
            {
                "max_iter": max_iter,
                "max_eval": max_eval,
                "tolerance_grad": tolerance_grad,
                "history_size": history_size,
                "c1": c1,
                "c2": c2,
            },
        )

    def _history(self) -> History:
        kept = self._kept
        if "pairs" not in kept:
            like = self._params[0].detach()
            size = sum(param.numel() for param in self._params)
            new = History.empty(size, self.param_groups[0]["history_size"], like)
            kept.update(pairs=new.pairs_NP, sy=new.sy_MM, yy=new.yy_MM)
        for name in ("sy", "yy"):  # loading a state gives them the dtype and device of the parameters
            kept[name] = kept[name].to("cpu", torch.float64)
        return History(pairs_NP=kept["pairs"], sy_MM=kept["sy"], yy_MM=kept["yy"], count=self._num_pairs)

    def _direction(self, grad_P: Tensor) -> Tensor:
        return self._history().direction(grad_P)

    def _learn(self, s_P: Tensor, y_P: Tensor) -> None:
        history = self._history()
        history.push(s_P, y_P)
        self._kept["num_pairs"] = history.count


class BFGS(_QuasiNewton):
    """BFGS with the whole inverse Hessian and a strong Wolfe line search, for a closure.

    ``x <- x - t H g`` and ``H <- (I - s y'/s'y) H (I - y s'/s'y) + s s'/s'y``. H takes P x P numbers for P parameters.

    Args:
        params: one group of real parameters with one dtype and device.
        max_iter: iterations per call of `step`, at least 1.
        max_eval: evaluations per call of `step`, at least 1; None: no bound, except 20 per line search.
        tolerance_grad: a minimum is reached where no number of the gradient is larger than this, in absolute value.
        c1: share of the promised decrease that a step must bring, in (0, c2).
        c2: share of the slope that may be left, in (c1, 1).

    Raises:
        ValueError: an argument is out of range, or parameters have several groups, dtypes or devices.
        ModelError: H does not fit into memory.

    References:
        Broyden, Fletcher, Goldfarb and Shanno, 1970; Nocedal and Wright, Numerical Optimization, 2006, equation 6.20,
        for the first H, which is ``(s'y / y'y) I``.
    """

    def __init__(
        self,
        params: Params,
        *,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        c1: float = 1e-4,
        c2: float = 0.9,
    ) -> None:
        super().__init__(
            params,
            {
                "max_iter": max_iter,
                "max_eval": max_eval,
                "tolerance_grad": tolerance_grad,
                "c1": c1,
                "c2": c2,
            },
        )
        first = self._params[0]
        require_room(sum(param.numel() for param in self._params), first.dtype, first.device, "BFGS")

    def _direction(self, grad_P: Tensor) -> Tensor:
        return -(self._kept["inverse"] @ grad_P) if self._num_pairs else -grad_P

    def _learn(self, s_P: Tensor, y_P: Tensor) -> None:
        kept = self._kept
        if not self._num_pairs:
            first = (s_P @ y_P) / (y_P @ y_P)
            kept["inverse"] = first * torch.eye(len(s_P), dtype=s_P.dtype, device=s_P.device)
        kept["inverse"] = updated(kept["inverse"][None], s_P[None], y_P[None])[0]
        kept["num_pairs"] = self._num_pairs + 1
