"""Muon for any PyTorch program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from torch import Tensor

from ravine.optim.base import Params, Preset, RuleOptimizer
from ravine.optim.options import Decays, Words, default, excluded

_LENGTHS = {"match_rms_adamw": 1.0, "original": 0.0}


def _match_adam(group: Mapping[str, Any]) -> float:
    """The hyper `match_adam` for a group's `adjust_lr_fn`; torch.optim's None means "original"."""
    name = group["adjust_lr_fn"] or "original"
    if name not in _LENGTHS:
        raise ValueError(f"muon: adjust_lr_fn = {name!r}: must be 'match_rms_adamw' or 'original'")
    return _LENGTHS[name]


@final
class Muon(RuleOptimizer):
    """A velocity whose matrices are made orthogonal; formula: docs/rules.md.

    For the weights of hidden layers: parameters of at least two dimensions, a convolution's filters being rows. Give
    biases, norms, embeddings and the output layer to `AdamW`, at the same lr. (In a study the rule ``muon`` does so.)

    Args:
        params: tensors, groups or named parameters.
        lr: learning rate.
        weight_decay: the decay beside the gradient; 0.01 by default, 0.1 in the preset "torch".
        momentum: decay of the mean of gradients, in [0, 1).
        adjust_lr_fn: how long a step is: "match_rms_adamw", as Adam's (the default), or "original", the default of
            the preset "torch".
        l1, max_norm, exclude, ema, maximize, preset: as in `SGD`.

    Differs from torch.optim.Muon: nothing is rounded to bfloat16.

    Raises:
        ValueError: a hyper is out of range, or a parameter has fewer than two dimensions.

    Example:
        >>> import torch
        >>> weight = torch.eye(2, requires_grad=True)
        >>> optimizer = Muon([weight], lr=0.1, weight_decay=0.0)
        >>> weight.square().sum().backward()
        >>> optimizer.step()
        >>> bool(weight[0, 0] < 1.0)
        True

    References:
        Jordan, Jin, Boza, You, Cesista, Newhouse and Bernstein, "Muon", 2024; Liu et al., "Muon is scalable for LLM
        training", 2025.
    """

    words: ClassVar[Words] = Words.of(
        "muon",
        hypers={
            "lr": "lr",
            "momentum": "momentum",
            "match_adam": _match_adam,
            "weight_decay": "weight_decay",
        },
        slots={"mean": "momentum_buffer"},
        fixed={"nesterov": True, "ns_coefficients": (3.4445, -4.7750, 2.0315), "eps": 1e-7, "ns_steps": 5},
    )

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        weight_decay: float | None = None,
        momentum: float = 0.95,
        *,
        adjust_lr_fn: str | None = None,
        l1: float = 0.0,
        max_norm: float = 0.0,
        exclude: str | None = None,
        ema: Decays = 0.0,
        maximize: bool = False,
        preset: Preset = "lecture",
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": default("muon", "weight_decay", weight_decay, preset),
            "momentum": momentum,
            "adjust_lr_fn": adjust_lr_fn or ("original" if preset == "torch" else "match_rms_adamw"),
            "l1": l1,
            "max_norm": max_norm,
            "exclude": excluded(exclude, preset),
            "ema": ema,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add matrices with hypers of their own; see torch.optim.Optimizer.add_param_group.

        Raises:
            ValueError: a hyper is out of range, or a parameter has fewer than two dimensions.
        """
        params = param_group["params"]
        params = param_group["params"] = [params] if isinstance(params, Tensor) else list(params)
        for each in params:
            param = each[1] if isinstance(each, tuple) else each
            if param.dim() < 2:
                raise ValueError(
                    f"muon: a parameter of shape {tuple(param.shape)} is not a matrix: give it to AdamW"
                )
        super().add_param_group(param_group)
