"""AdamW without a schedule, for any PyTorch program."""

from __future__ import annotations

from typing import ClassVar, final

from ravine.optim.base import Params, RuleOptimizer
from ravine.optim.options import Decays, Words


@final
class ScheduleFreeAdamW(RuleOptimizer):
    """AdamW whose average of the weights takes the place of a schedule; formula: docs/rules.md.

    The parameters are the point where gradients are taken. Evaluate and save within ``with optimizer.deployed():``,
    which replaces them by the average, and estimate BatchNorm's statistics again there. Keep lr constant, after a
    warm-up at most.

    Args:
        params: tensors, groups or named parameters.
        lr: learning rate.
        betas: how close to the average gradients are taken, in (0, 1); decay of the mean of squares, in [0, 1).
        eps: added to the root.
        weight_decay: the decay beside the gradient.
        l1, exclude, ema, maximize: as in `SGD`.

    Raises:
        ValueError: a hyper is out of range.

    Example:
        >>> import torch
        >>> weight = torch.ones(1, requires_grad=True)
        >>> optimizer = ScheduleFreeAdamW([weight], lr=0.1)
        >>> for _ in range(100):
        ...     optimizer.zero_grad()
        ...     weight.square().sum().backward()
        ...     optimizer.step()
        >>> with optimizer.deployed():
        ...     abs(weight.item()) < 0.1
        True

    References:
        Defazio, Yang, Mehta, Mishchenko, Khaled and Cutkosky, "The road less scheduled", 2024.
    """

    words: ClassVar[Words] = Words.of(
        "schedule_free_adamw",
        hypers={
            "lr": "lr",
            "beta1": ("betas", 0),
            "beta2": ("betas", 1),
            "eps": "eps",
            "weight_decay": "weight_decay",
        },
        slots={"fast": "z", "squares": "exp_avg_sq"},
        counts={"largest": "lr_max", "total": "weight_sum"},
    )

    def __init__(
        self,
        params: Params,
        lr: float = 2.5e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-7,
        weight_decay: float = 0.0,
        *,
        l1: float = 0.0,
        exclude: str | None = None,
        ema: Decays = 0.0,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "l1": l1,
            "exclude": exclude,
            "ema": ema,
            "maximize": maximize,
        }
        super().__init__(params, defaults)
