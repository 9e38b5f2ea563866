"""Sharpness-aware minimization around any optimizer of a PyTorch program."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, nn

from ravine.messages import shown
from ravine.rules.sam import SAM_RADIUS, ascent


@final
class SAM(torch.optim.Optimizer):
    """Takes the gradient where the loss is highest nearby, and lets another optimizer make the step.

    ``x' = x + radius g(x) / |g(x)|``, then the optimizer's step from x with g(x'). It takes twice the time. Both passes
    draw the same numbers from torch's generators, and so the same dropout masks. Groups, state and ``state_dict`` are
    those of the inner optimizer. Clip gradients in the closure. ``GradScaler.step`` does not work with it, since it
    passes no closure.

    Args:
        base: any torch.optim.Optimizer whose step needs no closure.
        radius: how far uphill the gradient is taken, as a length over all weights; above 0.
        module: the second pass leaves its buffers (BatchNorm's statistics) as the first pass made them.

    Raises:
        ValueError: the radius is not a number above 0.
        TypeError: base is not an optimizer, or its step needs a closure; or module is not a module.

    Example:
        >>> import torch
        >>> from ravine.optim import Momentum
        >>> weight = torch.tensor([1.0], requires_grad=True)
        >>> optimizer = SAM(Momentum([weight], lr=0.1), radius=0.5)
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = weight.square().sum()
        ...     loss.backward()
        ...     return loss
        >>> optimizer.step(closure).item(), round(weight.item(), 6)
        (1.0, 0.7)

    References:
        Foret, Kleiner, Mobahi and Neyshabur, "Sharpness-aware minimization for efficiently improving
        generalization", 2021.
    """

    def __init__(
        self, base: torch.optim.Optimizer, radius: float = 0.05, *, module: nn.Module | None = None
    ) -> None:
        if not isinstance(base, torch.optim.Optimizer):
            raise TypeError(f"base: must be an optimizer, not {type(base).__name__}")
        if isinstance(base, SAM) or _needs_closure(base):
            raise TypeError(
                f"base: must be an optimizer whose step needs no closure, not {type(base).__name__}"
            )
        if module is not None and not isinstance(module, nn.Module):
            raise TypeError(f"module: must be an nn.Module, not {type(module).__name__}")
        fault = SAM_RADIUS.fault(radius)
        if fault is not None or radius == 0:
            raise ValueError(f"radius = {shown(radius)}: must be {fault or 'above 0'}")
        self.base, self.radius, self.module = base, float(radius), module
        super().__init__(base.param_groups, {})
        self._link()

    def _link(self) -> None:
        """Share the inner optimizer's groups and state: a scheduler changes the groups that it finds here."""
        self.param_groups, self.state, self.defaults = (
            self.base.param_groups,
            self.base.state,
            self.base.defaults,
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float:  # type: ignore[override]
        """Two evaluations, and one step.

        Args:
            closure: clears the gradients, evaluates the model, goes backward and returns the loss.

        Returns:
            The loss at the weights, before the step.

        Raises:
            TypeError: there is no closure.
        """
        if closure is None:
            raise TypeError("SAM.step needs a closure that evaluates the model: it takes two gradients")
        with torch.enable_grad(), torch.random.fork_rng(self._devices()):
            loss = closure()
        here = self._ascend()
        buffers = [] if self.module is None else [(b, b.clone()) for b in self.module.buffers()]
        try:
            with torch.enable_grad():
                closure()
        finally:
            for tensor, value in (*here, *buffers):
                tensor.copy_(value)
        self.base.step()
        return loss

    def _ascend(self) -> list[tuple[Tensor, Tensor]]:
        """Move uphill, and return the parameters with the values that they had before."""
        up = [
            (param, param.grad, -1.0 if group.get("maximize") else 1.0)
            for group in self.param_groups
            for param in group["params"]
            if param.grad is not None
        ]
        if not up:
            return []
        device = up[0][1].device
        lengths = torch.stack([torch.linalg.vector_norm(grad).double().to(device) for _, grad, _ in up])
        radius = torch.tensor(self.radius, dtype=lengths.dtype, device=device)
        factor = float(ascent(radius, torch.linalg.vector_norm(lengths)))
        here = [(param, param.clone()) for param, _, _ in up]
        for param, grad, sign in up:
            param.add_(grad, alpha=sign * factor)
        return here

    def _devices(self) -> list[int]:
        """The CUDA devices, on which a pass may draw random numbers."""
        return sorted(
            {
                param.device.index
                for group in self.param_groups
                for param in group["params"]
                if param.device.type == "cuda"
            }
        )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients."""
        self.base.zero_grad(set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters to the inner optimizer."""
        if all(param_group is not group for group in self.base.param_groups):
            self.base.add_param_group(param_group)

    def state_dict(self) -> dict[str, Any]:
        """The state of the inner optimizer."""
        return self.base.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state of the inner optimizer."""
        self.base.load_state_dict(state_dict)
        self._link()

    def __getstate__(self) -> dict[str, Any]:
        return {"base": self.base, "radius": self.radius, "module": self.module}

    def __setstate__(self, state: dict[str, Any]) -> None:
        linked = {name: getattr(state["base"], name) for name in ("param_groups", "state", "defaults")}
        super().__setstate__({**state, **linked})


def _needs_closure(optimizer: torch.optim.Optimizer) -> bool:
    """Whether an optimizer's step cannot do without a closure, as a line search."""
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty
