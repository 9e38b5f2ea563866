"""Base of the optimizers that evaluate the loss several times per step: methods with a line search."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ravine.messages import as_float, shown
from ravine.optim.base import Params
from ravine.optim.loading import restore_exact
from ravine.second.line_search import MOST, LineSearch, Outcome

__all__ = ["SearchingOptimizer"]

Closure = Callable[[], Any]


class SearchingOptimizer(torch.optim.Optimizer):
    """Base of the second-order classes; not used by itself."""

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        _check(type(self).__name__, defaults)
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError(
                f"{type(self).__name__}: {len(self.param_groups)} parameter groups; only 1 is allowed"
            )
        kinds = {(param.dtype, param.device) for param in self._params}
        if len(kinds) != 1 or not self._params[0].is_floating_point():
            raise ValueError(f"{type(self).__name__}: parameters must be real and have one dtype and device")

    def __setstate__(self, state: dict[str, Any]) -> None:
        defaults = state.get("defaults") or self.defaults  # a copy has its own; `load_state_dict` passes none
        # PyTorch adds "differentiable" to the defaults of an optimizer that was loaded or copied.
        wanted = [key for key in defaults if key != "differentiable"]
        lacking = [key for group in state["param_groups"] for key in wanted if key not in group]
        if lacking:
            raise ValueError(
                f"{type(self).__name__}: a state of another optimizer: its group lacks {', '.join(lacking)}"
            )
        super().__setstate__(state)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state of this class; training goes on with the same bits.

        Raises:
            ValueError: it is the state of another optimizer.
        """
        super().load_state_dict(state_dict)
        restore_exact(self.state, self.param_groups, state_dict, ("sy", "yy"))

    @property
    def _params(self) -> list[Tensor]:
        return self.param_groups[0]["params"]  # type: ignore[no-any-return]

    @property
    def _kept(self) -> dict[str, Any]:
        """The state that outlives a step. It is stored with the first parameter: a `state_dict` has no other place."""
        return self.state[self._params[0]]  # type: ignore[no-any-return]

    @property
    def num_evaluations(self) -> int:
        """How often the closure has been called so far."""
        return int(self._kept.get("num_evaluations", 0))

    def _point(self) -> Tensor:
        return torch.cat([param.detach().reshape(-1) for param in self._params])

    def _move(self, point_P: Tensor) -> None:
        sizes = [param.numel() for param in self._params]
        for param, values in zip(self._params, point_P.split(sizes), strict=True):
            param.copy_(values.view_as(param))

    def _evaluate(self, closure: Closure) -> tuple[Any, Tensor]:
        """The closure's loss, and the gradient, (P,)."""
        self._kept["num_evaluations"] = self.num_evaluations + 1
        with torch.enable_grad():
            loss = closure()
        name = type(self).__name__
        if not isinstance(loss, int | float) and not (isinstance(loss, Tensor) and loss.numel() == 1):
            found = f"a tensor of {loss.numel()} numbers" if isinstance(loss, Tensor) else type(loss).__name__
            raise TypeError(f"{name}: the closure must return the loss, one number, not {found}")
        return loss.detach() if isinstance(loss, Tensor) else loss, torch.cat(
            [
                (torch.zeros_like(param) if param.grad is None else param.grad.to_dense()).reshape(-1)
                for param in self._params
            ]
        )

    def _search(
        self, closure: Closure, loss: float, grad_P: Tensor, direction_P: Tensor, first: float, room: float
    ) -> tuple[Any, Tensor, Tensor] | None:
        """Move along a direction to a point that meets the strong Wolfe conditions.

        Args:
            closure: as in `step`.
            loss: at the parameters.
            grad_P: gradient at the parameters.
            direction_P: a direction along which the loss falls.
            first: the first step length to try.
            room: evaluations that are left.

        Returns:
            Loss and gradient at the new point, and the step to it; None, with the parameters back where they were, if
            no step was found.
        """
        start_P = self._point()
        search = LineSearch(
            loss=loss,
            slope=float(grad_P @ direction_P),
            t=first,
            resolution=torch.finfo(grad_P.dtype).eps,
            c1=self.param_groups[0]["c1"],
            c2=self.param_groups[0]["c2"],
            most=int(max(1, min(MOST, room))),
        )
        while True:
            step_P = search.t * direction_P
            self._move(start_P + step_P)
            found, new_P = self._evaluate(closure)
            outcome = search.observe(float(found), float(new_P @ direction_P))
            if outcome is Outcome.ACCEPTED:
                return found, new_P, step_P
            if outcome is Outcome.FAILED:
                self._move(start_P)
                return None

    def _done(self, loss: float, grad_P: Tensor) -> bool:
        """Whether to stop here: the loss is not finite, or no number of the gradient exceeds `tolerance_grad`."""
        largest = float(grad_P.abs().max()) if len(grad_P) else 0.0
        return not math.isfinite(loss + largest) or largest <= self.param_groups[0]["tolerance_grad"]


def _check(name: str, defaults: dict[str, Any]) -> None:
    """Raises ValueError for an argument out of range."""
    c1, c2 = defaults["c1"], defaults["c2"]
    if not 0.0 < (as_float(c1) or 0.0) < (as_float(c2) or 0.0) < 1.0:
        raise ValueError(f"{name}: c1 = {shown(c1)}, c2 = {shown(c2)}: must be 0 < c1 < c2 < 1")
    for key in ("tolerance_grad", "damping"):
        number = as_float(defaults.get(key, 0.0))
        if number is None or not 0.0 <= number < math.inf:
            raise ValueError(f"{name}: {key} = {shown(defaults[key])}: must be a finite number of at least 0")
    for key, more in (("max_iter", ""), ("history_size", ""), ("max_eval", ", or None")):
        value = defaults.get(key)
        if value is not None and not (isinstance(value, int) and value >= 1):
            raise ValueError(f"{name}: {key} = {shown(value)}: must be a whole number of at least 1{more}")
