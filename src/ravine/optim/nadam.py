"""Adam that looks ahead, for any PyTorch program."""

from __future__ import annotations

from typing import ClassVar, final

from ravine.optim.base import Params, Preset, RuleOptimizer
from ravine.optim.options import Decays, Words, default, excluded


@final
class NAdam(RuleOptimizer):
    """Adam that looks ahead along its velocity, as `Nesterov` does; formula: docs/rules.md.

    Args:
        params: tensors, groups or named parameters.
        lr: learning rate.
        betas: decay of both means, in [0, 1).
        eps: added to the root; 1e-7 by default, 1e-8 in the preset "torch", which has torch.optim.NAdam's numbers.
        momentum_decay: how fast the momentum grows from half of ``betas[0]`` to it.
        weight_decay, l1, max_norm, exclude, ema, maximize, preset: as in `SGD`.

    Raises:
        ValueError: a hyper is out of range.

    Example:
        >>> import torch
        >>> weight = torch.ones(1, requires_grad=True)
        >>> optimizer = NAdam([weight], lr=0.1)
        >>> weight.square().sum().backward()
        >>> optimizer.step()
        >>> weight.item() < 0.92
        True

    References:
        Dozat, "Incorporating Nesterov momentum into Adam", 2016.
    """

    words: ClassVar[Words] = Words.of(
        "nadam",
        hypers={
            "lr": "lr",
            "beta1": ("betas", 0),
            "beta2": ("betas", 1),
            "eps": "eps",
            "momentum_decay": "momentum_decay",
        },
        slots={"mean": "exp_avg", "squares": "exp_avg_sq"},
        counts={"product": "mu_product"},
        fixed={"decoupled_weight_decay": False},
    )

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float | None = None,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
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
            "eps": default("nadam", "eps", eps, preset),
            "momentum_decay": momentum_decay,
            "weight_decay": weight_decay,
            "l1": l1,
            "max_norm": max_norm,
            "exclude": excluded(exclude, preset),
            "ema": ema,
            "maximize": maximize,
        }
        super().__init__(params, defaults)
