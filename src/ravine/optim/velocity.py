"""Gradient descent, and the rules that keep a velocity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, final

from ravine.optim.base import Params, Preset, RuleOptimizer
from ravine.optim.options import Decays, Words, excluded
from ravine.rules import Rule, rule

_SGD = {"dampening": 0}
_BUFFER = "momentum_buffer"
_NESTEROV = {"shifted": rule("nesterov"), "torch": rule("nesterov_torch")}


def _of_form(group: Mapping[str, Any]) -> Rule:
    form = group["form"]
    if form not in _NESTEROV:
        raise ValueError(f"nesterov: form = {form!r}: must be 'shifted' or 'torch'")
    return _NESTEROV[form]


@final
class SGD(RuleOptimizer):
    """Stochastic gradient descent: ``x <- x - lr g``.

    It has the numbers and the state of torch.optim.SGD.

    Args:
        params: tensors, groups or named parameters.
        lr: learning rate, a number or a tensor of one, at least 0.
        weight_decay: L2 penalty, added to the gradient as ``weight_decay x``.
        decoupled_weight_decay: each step also shrinks x by lr times this.
        l1: L1 penalty, added to the gradient as ``l1 sign(x)``; with ``weight_decay`` the elastic net.
        max_norm: length that a unit's incoming weights may have at most; 0 for no limit.
        exclude: a regular expression; parameters whose name it matches somewhere get no decay and no L1. None: biases
            and parameters with fewer than two dimensions; "": no parameter is excluded.
        ema: decay of a moving average of the weights, for `deployed`, in [0, 1); 0: no average is kept. A list: an
            average for each of its decays.
        maximize: whether to climb instead of to descend.
        preset: "torch": nothing is excluded from decay by default, as in torch.optim.

    Raises:
        ValueError: a hyper is out of range.

    Example:
        >>> import torch
        >>> weight = torch.ones(1, requires_grad=True)
        >>> optimizer = SGD([weight], lr=0.1)
        >>> weight.square().sum().backward()
        >>> optimizer.step()
        >>> round(weight.item(), 6)
        0.8

    References:
        Robbins and Monro, 1951.
    """

    words: ClassVar[Words] = Words.of(
        "sgd", hypers={"lr": "lr"}, fixed={**_SGD, "momentum": 0, "nesterov": False}
    )

    def __init__(
        self,
        params: Params,
        lr: float,
        *,
        weight_decay: float = 0.0,
        decoupled_weight_decay: float = 0.0,
        l1: float = 0.0,
        max_norm: float = 0.0,
        exclude: str | None = None,
        ema: Decays = 0.0,
        maximize: bool = False,
        preset: Preset = "lecture",
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "l1": l1,
            "max_norm": max_norm,
            "exclude": excluded(exclude, preset),
            "ema": ema,
            "maximize": maximize,
        }
        super().__init__(params, defaults)


@final
class Momentum(RuleOptimizer):
    """A velocity: ``v <- momentum v + g``, ``x <- x - lr v``.

    It has the numbers and the state of torch.optim.SGD(momentum=...).

    Args:
        params: tensors, groups or named parameters.
        lr: learning rate.
        momentum: decay of the velocity, in [0, 1); rho in the lecture.
        weight_decay, decoupled_weight_decay, l1, max_norm, exclude, ema, maximize, preset: as in `SGD`.

    Raises:
        ValueError: a hyper is out of range.

    Example:
        >>> import torch
        >>> optimizer = Momentum(torch.nn.Linear(3, 1).parameters(), lr=0.01)
        >>> optimizer.param_groups[0]["momentum"]
        0.9

    References:
        Polyak, 1964.
    """

    words: ClassVar[Words] = Words.of(
        "momentum",
        hypers={"lr": "lr", "rho": "momentum"},
        slots={"velocity": "momentum_buffer"},
        fixed={**_SGD, "nesterov": False},
    )

    def __init__(
        self,
        params: Params,
        lr: float,
        momentum: float = 0.9,
        *,
        weight_decay: float = 0.0,
        decoupled_weight_decay: float = 0.0,
        l1: float = 0.0,
        max_norm: float = 0.0,
        exclude: str | None = None,
        ema: Decays = 0.0,
        maximize: bool = False,
        preset: Preset = "lecture",
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "l1": l1,
            "max_norm": max_norm,
            "exclude": excluded(exclude, preset),
            "ema": ema,
            "maximize": maximize,
        }
        super().__init__(params, defaults)


@final
class Nesterov(RuleOptimizer):
    """Nesterov's accelerated gradient.

    ``form="shifted"`` moves the look-ahead point, with m the momentum: ``v' = m v - lr g``,
    ``x~ <- x~ - m v + (1 + m) v'``. It follows the definition even when lr changes. Evaluate it within `deployed`, at
    the true point ``x = x~ - m v``. ``form="torch"`` has the numbers and the state of torch.optim.SGD(nesterov=True),
    with lr outside the velocity. At a constant lr both move x~ alike.

    Args:
        params: tensors, groups or named parameters.
        lr: learning rate.
        momentum: decay of the velocity, in [0, 1).
        form: "shifted" or "torch"; by default as the preset says.
        weight_decay, decoupled_weight_decay, l1, max_norm, exclude, ema, maximize, preset: as in `SGD`.

    Raises:
        ValueError: a hyper is out of range.

    Example:
        >>> import torch
        >>> optimizer = Nesterov(torch.nn.Linear(3, 1).parameters(), lr=0.01, momentum=0.95)
        >>> optimizer.param_groups[0]["form"]
        'shifted'

    References:
        Nesterov, 1983; Bengio, Boulanger-Lewandowski and Pascanu, 2013; Sutskever, Martens, Dahl and Hinton, 2013.
    """

    words: ClassVar[Words] = Words(
        rule=_of_form,
        hypers={"lr": "lr", "rho": "momentum"},
        slots=lambda group: {"velocity": _BUFFER if group["form"] == "torch" else "velocity"},
        fixed={**_SGD, "nesterov": True},
        as_torch={"form": "torch"},
    )

    def __init__(
        self,
        params: Params,
        lr: float,
        momentum: float = 0.9,
        *,
        form: Literal["shifted", "torch"] | None = None,
        weight_decay: float = 0.0,
        decoupled_weight_decay: float = 0.0,
        l1: float = 0.0,
        max_norm: float = 0.0,
        exclude: str | None = None,
        ema: Decays = 0.0,
        maximize: bool = False,
        preset: Preset = "lecture",
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "form": form or ("torch" if preset == "torch" else "shifted"),
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "l1": l1,
            "max_norm": max_norm,
            "exclude": excluded(exclude, preset),
            "ema": ema,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def state_dict(self) -> dict[str, Any]:
        """A state that this class and torch.optim.SGD can load; see torch.optim.Optimizer.state_dict.

        In the form "shifted" the velocity includes lr. For torch.optim the state also has a buffer without it: while lr
        stays the same, both continue alike.
        """
        found = super().state_dict()
        for group in found["param_groups"]:
            if group["form"] == "torch" or not float(group["lr"]) > 0.0:
                continue
            for number in group["params"]:
                own = found["state"].get(number, {})
                if own.get("velocity") is not None:
                    buffer = own["velocity"] / -float(group["lr"])
                    found["state"][number] = {**own, _BUFFER: buffer}
        return found

    def __setstate__(self, state: dict[str, Any]) -> None:
        for group in state["param_groups"]:
            for param in group["params"] if group.get("form") == "shifted" else ():
                if "velocity" in state["state"].get(param, {}):
                    state["state"][param].pop(_BUFFER, None)
        super().__setstate__(state)
