"""Inverted dropout with a rate and a key per run.

Shapes: B batch, C channel, H W space, D feature.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ravine import rng
from ravine.nn.stochastic import Stochastic


class Dropout(Stochastic):
    """Inverted dropout: zeroes each unit with probability p while training and divides the rest by 1 - p.

    sample: y = x z / (1 - p) with z ~ Bernoulli(1 - p), shape of x; mean: y = x.

    p is the probability of *dropping*, as in PyTorch (the paper's p keeps). p = 0 is exactly the identity;
    at p = 1 everything is dropped. Unlike in `torch.nn.Dropout`, p is a buffer (0-d tensor), so that runs
    trained side by side may differ in it, and the mask is a pure function of a key.

    Args:
        rate: probability of dropping, in [0, 1].
        num_shared: how many trailing dimensions share one draw; 2 drops whole channels of (B, C, H, W).

    Attributes:
        mask: a fixed z, for inspection and tests; must broadcast against x. None: z is drawn.

    Raises:
        ValueError: for a rate outside [0, 1].

    References:
        Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".

    Example:
        >>> layer = Dropout(0.5)
        >>> layer.mask = torch.tensor([True, False, True])
        >>> layer(torch.ones(3))
        tensor([2., 0., 2.])
        >>> layer.eval()(torch.ones(3))
        tensor([1., 1., 1.])
    """

    kind = "dropout"

    def __init__(self, rate: float = 0.5, num_shared: int = 0) -> None:
        if not 0 <= rate <= 1:
            raise ValueError(f"Dropout: rate must lie in [0, 1], not {rate}")
        super().__init__(rate)
        self.num_shared = num_shared
        self.mask: Tensor | None = None

    def draw_mask(self, x: Tensor, key: Tensor) -> Tensor:
        """z for an input of that shape: 1 where a unit is kept, 0 where it is dropped.

        Args:
            x: the input; only its shape is used.
            key: 0-d int64, from `ravine.rng.key`.

        Returns:
            float32, shape of x, with 1 for dimensions that share a draw.
        """
        drawn = x.shape[: x.dim() - self.num_shared]
        return rng.indicator(key, drawn, 1 - self.rate).reshape(drawn + (1,) * self.num_shared)

    def sample(self, x: Tensor, key: Tensor) -> Tensor:
        """x z / (1 - p)."""
        mask = self.draw_mask(x, key) if self.mask is None else self.mask
        keep = 1 - self.rate
        # At p = 1 z is 0 everywhere: any finite scale does.
        scale = 1 / torch.where(keep > 0, keep, 1.0)
        return x * (mask * scale).to(x.dtype)

    def mean(self, x: Tensor) -> Tensor:
        """The input as it is: in training, the division by 1 - p has already made its mean that of y."""
        return x


# torch's dropout layers, and how many trailing dimensions of the batched input share one draw in each.
_NUM_SHARED: dict[type[nn.Module], int] = {nn.Dropout: 0, nn.Dropout1d: 1, nn.Dropout2d: 2, nn.Dropout3d: 3}


def keyed(module: nn.Module) -> nn.Module:
    """Replace torch's dropout layers by ours, in place: the same function, but with masks that can be keyed.

    `nn.Dropout`, `Dropout1d`, `Dropout2d` and `Dropout3d` (exactly these classes: a subclass may do anything)
    keep their probability and their place in the tree, so the names of parameters stay the same. The channel
    dropouts then need an input with a batch dimension.

    Args:
        module: any module; changed in place unless it is itself a dropout layer.

    Returns:
        The module, or its replacement.

    Example:
        >>> keyed(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.3)))[1]
        Dropout(rate=0.3)
    """
    return _replaced(module, {})


def _replaced(module: nn.Module, done: dict[nn.Module, nn.Module]) -> nn.Module:
    """A module used in several places stays one module: `done` remembers what became of it."""
    if module not in done:
        shared = _NUM_SHARED.get(type(module))
        if shared is None:
            done[module] = module
            for name, child in list(module._modules.items()):
                if child is not None:
                    module._modules[name] = _replaced(child, done)
        else:
            done[module] = Dropout(
                float(module.p),  # type: ignore[arg-type]
                shared,
            ).train(module.training)
    return done[module]
