"""The rules that give every weight a stride of its own."""

from __future__ import annotations

from typing import ClassVar, final

from ravine.optim.base import Params, Preset, RuleOptimizer
from ravine.optim.options import Decays, Words, default, excluded


@final
class AdaGrad(RuleOptimizer):
    """``s <- s + g^2``, ``x <- x - lr g / (sqrt(s) + eps)``.

    Args:
        params: tensors, groups or named parameters.
        lr: learning rate.
        eps: added to the root; 1e-7 by default, 1e-10 in the preset "torch", which has torch.optim.Adagrad's numbers.
        weight_decay, decoupled_weight_decay, l1, max_norm, exclude, ema, maximize, preset: as in `SGD`.

    Raises:
        ValueError: a hyper is out of range.

    Example:
        >>> import torch
        >>> AdaGrad(torch.nn.Linear(3, 1).parameters(), lr=0.1).param_groups[0]["eps"]
        1e-07

    References:
        Duchi, Hazan and Singer, 2011.
    """

    words: ClassVar[Words] = Words.of(
        "adagrad",
        hypers={"lr": "lr", "eps": "eps"},
        slots={"squares": "sum"},
        fixed={"lr_decay": 0, "initial_accumulator_value": 0},
    )

    def __init__(
        self,
        params: Params,
        lr: float,
        *,
        eps: float | None = None,
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
            "eps": default("adagrad", "eps", eps, preset),
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
class RMSProp(RuleOptimizer):
    """``s <- alpha s + (1 - alpha) g^2``, ``x <- x - lr g / (sqrt(s) + eps)``.

    Args:
        params: tensors, groups or named parameters.
        lr: learning rate.
        alpha: decay of the mean of squares, in [0, 1); 0.9 by default, 0.99 in the preset "torch", which has
            torch.optim.RMSprop's numbers.
        eps: added to the root; 1e-7 by default, 1e-8 in the preset "torch".
        weight_decay, decoupled_weight_decay, l1, max_norm, exclude, ema, maximize, preset: as in `SGD`.

    Raises:
        ValueError: a hyper is out of range.

    Example:
        >>> import torch
        >>> RMSProp(torch.nn.Linear(3, 1).parameters(), lr=0.001, preset="torch").param_groups[0]["alpha"]
        0.99

    References:
        Tieleman and Hinton, 2012.
    """

    words: ClassVar[Words] = Words.of(
        "rmsprop",
        hypers={"lr": "lr", "decay": "alpha", "eps": "eps"},
        slots={"squares": "square_avg"},
        fixed={"momentum": 0, "centered": False},
    )

    def __init__(
        self,
        params: Params,
        lr: float,
        alpha: float | None = None,
        eps: float | None = None,
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
            "alpha": default("rmsprop", "decay", alpha, preset),
            "eps": default("rmsprop", "eps", eps, preset),
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "l1": l1,
            "max_norm": max_norm,
            "exclude": excluded(exclude, preset),
            "ema": ema,
            "maximize": maximize,
        }
        super().__init__(params, defaults)


_ADAM_HYPERS: dict[str, str | tuple[str, int]] = {
    "lr": "lr",
    "beta1": ("betas", 0),
    "beta2": ("betas", 1),
    "eps": "eps",
    "bias_correction": "bias_correction",
}
_ADAM_SLOTS = {"mean": "exp_avg", "squares": "exp_avg_sq"}


@final
class Adam(RuleOptimizer):
    """Two running means, of gradients and of their squares, neither biased by its start at 0.

    ``m <- beta1 m + (1 - beta1) g``, ``s <- beta2 s + (1 - beta2) g^2``,
    ``x <- x - lr m / (1 - beta1^t) / (sqrt(s / (1 - beta2^t)) + eps)``.

    Args:
        params: tensors, groups or named parameters.
        lr: learning rate.
        betas: decay of both means, in [0, 1).
        eps: added to the root; 1e-7 by default, 1e-8 in the preset "torch", which has torch.optim.Adam's numbers.
        bias_correction: False: both divisors are 1.
        weight_decay, l1, max_norm, exclude, ema, maximize, preset: as in `SGD`. The decoupled decay is `AdamW`.

    Raises:
        ValueError: a hyper is out of range.

    Example:
        >>> import torch
        >>> weight = torch.ones(1, requires_grad=True)
        >>> optimizer = Adam([weight])
        >>> weight.square().sum().backward()
        >>> optimizer.step()
        >>> round(weight.item(), 6)
        0.999

    References:
        Kingma and Ba, 2015.
    """

    words: ClassVar[Words] = Words.of(
        "adam",
        hypers=_ADAM_HYPERS,
        slots=_ADAM_SLOTS,
        fixed={"amsgrad": False, "decoupled_weight_decay": False},
        as_torch={"bias_correction": True},
    )

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float | None = None,
        *,
        bias_correction: bool = True,
        weight_decay: float = 0.0,
        l1: float = 0.0,
        max_norm: float = 0.0,
        exclude: str | None = None,
        ema: Decays = 0.0,
        maximize: bool = False,
        preset: Preset = "lecture",
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": default("adam", "eps", eps, preset),
            "bias_correction": bias_correction,
            "weight_decay": weight_decay,
            "l1": l1,
            "max_norm": max_norm,
            "exclude": excluded(exclude, preset),
            "ema": ema,
            "maximize": maximize,
        }
        super().__init__(params, defaults)


@final
class AdamW(RuleOptimizer):
    """Adam with its weight decay beside the gradient: each step also does ``x <- x - lr weight_decay x``.

    Args:
        params: tensors, groups or named parameters.
        lr: learning rate.
        betas: decay of both means, in [0, 1).
        eps: added to the root; 1e-7 by default, 1e-8 in the preset "torch", which has torch.optim.AdamW's numbers.
        weight_decay: the decay.
        bias_correction: False: both divisors are 1.
        l1, max_norm, exclude, ema, maximize, preset: as in `SGD`.

    Raises:
        ValueError: a hyper is out of range.

    Example:
        >>> import torch
        >>> AdamW(torch.nn.Linear(3, 1).parameters()).param_groups[0]["weight_decay"]
        0.01

    References:
        Loshchilov and Hutter, 2019.
    """

    words: ClassVar[Words] = Words.of(
        "adamw",
        hypers={**_ADAM_HYPERS, "weight_decay": "weight_decay"},
        slots=_ADAM_SLOTS,
        fixed={"amsgrad": False, "decoupled_weight_decay": True},
        as_torch={"bias_correction": True},
    )

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float | None = None,
        weight_decay: float = 0.01,
        *,
        bias_correction: bool = True,
        l1: float = 0.0,
        max_norm: float = 0.0,
        exclude: str | None = None,
        ema: Decays = 0.0,
        maximize: bool = False,
        preset: Preset = "lecture",
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": default("adamw", "eps", eps, preset),
            "bias_correction": bias_correction,
            "weight_decay": weight_decay,
            "l1": l1,
            "max_norm": max_norm,
            "exclude": excluded(exclude, preset),
            "ema": ema,
            "maximize": maximize,
        }
        super().__init__(params, defaults)


@final
class Lion(RuleOptimizer):
    """Every weight moves by lr, in the direction that a velocity and the new gradient agree on.

    ``x <- x - lr (sign(beta1 m + (1 - beta1) g) + weight_decay x)``, ``m <- beta2 m + (1 - beta2) g``.

    Args:
        params: tensors, groups or named parameters.
        lr: learning rate; 3 to 10 times smaller than Adam's.
        betas: decay of the mean of gradients, for the direction and for what is kept, in [0, 1).
        weight_decay: the decay beside the gradient.
        l1, max_norm, exclude, ema, maximize, preset: as in `SGD`.

    Raises:
        ValueError: a hyper is out of range.

    Example:
        >>> import torch
        >>> weight = torch.ones(1, requires_grad=True)
        >>> optimizer = Lion([weight], lr=0.25)
        >>> weight.square().sum().backward()
        >>> optimizer.step()
        >>> weight.item()
        0.75

    References:
        Chen et al., "Symbolic discovery of optimization algorithms", 2023.
    """

    words: ClassVar[Words] = Words.of(
        "lion",
        hypers={"lr": "lr", "beta1": ("betas", 0), "beta2": ("betas", 1), "weight_decay": "weight_decay"},
        slots={"mean": "exp_avg"},
    )

    def __init__(
        self,
        params: Params,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        l1: float = 0.0,
        max_norm: float = 0.0,
        exclude: str | None = None,
        ema: Decays = 0.0,
        maximize: bool = False,
        preset: Preset = "lecture",
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "weight_decay": weight_decay,
            "l1": l1,
            "max_norm": max_norm,
            "exclude": excluded(exclude, preset),
            "ema": ema,
            "maximize": maximize,
        }
        super().__init__(params, defaults)
