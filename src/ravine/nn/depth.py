"""Stochastic depth: whole residual branches are dropped, with a rate and a key per run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from ravine import rng
from ravine.nn.norms import BatchNorm
from ravine.nn.scale import SCALES, Scale, at_test, in_training
from ravine.nn.stochastic import Stochastic, checked_rate, checked_word
from ravine.rng.torch_draws import Drawing


class StochasticDepth(Stochastic):
    """A gate b on a residual branch f: y = x + b f(x), with b ~ Bernoulli(1 - p) while training.

    - ``scale="classic"``, as in the paper: sample x + b f(x); mean x + (1 - p) f(x).
    - ``scale="inverted"``: sample x + b f(x) / (1 - p); mean x + f(x).

    The paper's linear rule drops branch i of L with probability (i / L) p_L, from i = 1 on: give ``share=i / L``, and
    p_L as the rate. Others count otherwise (torchvision's ConvNeXt from 0, by (i - 1) / (L - 1)).

    Drawn per batch, a closed gate leaves the statistics of the branch's BatchNorms alone, and its branch is not
    computed in machine code, in serial programs and in a loop of your own. Drawn per example, as in timm, every branch
    is computed, and BatchNorms see the examples that are dropped afterwards too.

    Args:
        rate: probability p_L of dropping, in [0, 1].
        branch: f; None: the layer is the gate alone, for f(x), or for `add`.
        share: what the rate is multiplied by.
        scale: see above.
        draw: ``"batch"``, one gate for all examples, or ``"example"``, one each.

    Raises:
        ValueError: for a rate or share outside [0, 1], or an unknown word.

    References:
        Huang et al. 2016, "Deep networks with stochastic depth".

    Example:
        >>> block = StochasticDepth(1.0, nn.Linear(2, 2))
        >>> block(torch.ones(1, 2)), len(list(block.parameters()))
        (tensor([[1., 1.]]), 2)
    """

    kind = "depth_drop"

    def __init__(
        self,
        rate: float = 0.5,
        branch: nn.Module | None = None,
        *,
        share: float = 1.0,
        scale: Scale = "classic",
        draw: Literal["batch", "example"] = "batch",
    ) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"StochasticDepth: share must lie in [0, 1], not {share}")
        super().__init__(share * checked_rate("StochasticDepth", rate))
        self.share = share
        self.scale = checked_word("StochasticDepth", "scale", scale, SCALES)
        self.draw = checked_word("StochasticDepth", "draw", draw, ("batch", "example"))
        self.branch = branch

    @property
    def rate_at_test(self) -> bool:
        """In the classic scale."""
        return self.scale == "classic"

    def forward(self, x: Tensor) -> Tensor:
        """x + b f(x); of a layer without a branch, b x."""
        if self.branch is None:
            return super().forward(x)
        norms = [each for each in self.branch.modules() if isinstance(each, BatchNorm)]
        return self.add(x, self.branch, x, norms)

    def sample(self, x: Tensor, key: Tensor) -> Tensor:
        """b x, or b x / (1 - p)."""
        return self._scaled(torch.where(self._open(x, key), x, 0.0))

    def mean(self, x: Tensor) -> Tensor:
        """(1 - p) x, or x."""
        return at_test(x, self.rate, self.scale)

    def add(
        self,
        shortcut: Tensor,
        branch: Callable[[Tensor], Tensor],
        x: Tensor,
        norms: Iterable[nn.Module] = (),
    ) -> Tensor:
        """shortcut + b f(x), for a branch whose modules are elsewhere.

        Args:
            shortcut: what the branch is added to.
            branch: f.
            x: its input.
            norms: its BatchNorms, whose statistics a closed gate leaves alone.
        """
        if not self.draws:
            return shortcut + self.mean(branch(x))
        key = self.next_key(x.device)
        if self.draw == "example":
            return shortcut + self.sample(branch(x), key)
        is_open = self._open(x, key)
        known = not self.keyed or _has_number(is_open)
        if known and bool(is_open):
            return shortcut + self._scaled(branch(x))
        if known and not _drawing():
            return shortcut
        moving = [norm for norm in norms if norm.training]
        before = [(norm, name, each.clone()) for norm in moving for name, each in norm.named_buffers()]
        if known:  # only what the branch draws is wanted: later draws are numbered from there on
            with torch.no_grad():
                branch(x.clone())  # which it may change
            for norm, name, old in before:
                setattr(norm, name, old)
            return shortcut
        y = torch.where(is_open, shortcut + self._scaled(branch(x)), shortcut)
        for norm, name, old in before:  # new tensors: the backward pass needs those that the norm wrote to
            setattr(norm, name, torch.where(is_open, getattr(norm, name), old))
        return y

    def _open(self, x: Tensor, key: Tensor) -> Tensor:
        """b, of no dimensions or one for each example."""
        if self.draw == "batch":
            return rng.bernoulli(key, (1,), 1 - self.rate).squeeze(-1)
        if not x.dim():
            raise ValueError(
                f"StochasticDepth: draw = 'example' needs a batch of examples, not shape {tuple(x.shape)}"
            )
        return rng.bernoulli(key, x.shape[:1], 1 - self.rate).reshape(-1, *[1] * (x.dim() - 1))

    def _scaled(self, x: Tensor) -> Tensor:
        return in_training(x, self.rate, self.scale)


def _has_number(gate: Tensor) -> bool:
    """Whether Python may ask for it: it is no tensor of many runs, and nothing is being traced."""
    if torch._C._functorch.is_functorch_wrapped_tensor(gate) or torch.compiler.is_compiling():
        return False
    return all(isinstance(mode, Drawing) for mode in _get_current_dispatch_mode_stack())


def _drawing() -> bool:
    """Whether draws of the modules themselves are numbered."""
    return any(isinstance(mode, Drawing) for mode in _get_current_dispatch_mode_stack())
