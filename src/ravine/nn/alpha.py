"""Alpha dropout, for self-normalizing networks, with a rate and a key per run."""

from __future__ import annotations

import torch
from torch import Tensor

from ravine import rng
from ravine.nn.stochastic import Stochastic, checked_rate

_LOW = -1.7580993408473766  # SELU's limit far to the left: -scale alpha


class AlphaDropout(Stochastic):
    """Dropout that leaves mean 0 and variance 1 as they are: what is dropped becomes a', and all is scaled and shifted.

    sample: y = A (x z + a' (1 - z)) + B with z ~ Bernoulli(1 - p), a' = -1.7581, A = ((1 - p) (1 + p a'^2))^(-1/2),
    B = -A p a'; mean: y = x. p = 0 is exactly the identity, and p = 1 gives 0, as in `torch.nn.AlphaDropout`.

    Args:
        rate: probability p of dropping, in [0, 1].
        features: whether a channel of (B, C, ...) is dropped as a whole, as in `torch.nn.FeatureAlphaDropout`.

    Raises:
        ValueError: for a rate outside [0, 1].

    References:
        Klambauer et al. 2017, "Self-normalizing neural networks".

    Example:
        >>> AlphaDropout(1.0)(torch.ones(3)), AlphaDropout(0.5).eval()(torch.ones(2))
        (tensor([0., 0., 0.]), tensor([1., 1.]))
    """

    kind = "alpha_dropout"

    def __init__(self, rate: float = 0.5, *, features: bool = False) -> None:
        super().__init__(checked_rate("AlphaDropout", rate))
        self.features = features

    def sample(self, x: Tensor, key: Tensor) -> Tensor:
        """A (x z + a' (1 - z)) + B."""
        keep = 1 - self.rate
        drawn = x.shape[:2] if self.features else x.shape
        kept = rng.bernoulli(key, drawn, keep).reshape(drawn + (1,) * (x.dim() - len(drawn)))
        variance = keep * (1 + self.rate * _LOW**2)
        scale = torch.where(keep > 0, 1 / torch.where(keep > 0, variance, 1.0).sqrt(), 0.0)
        shift = -scale * self.rate * _LOW
        y = torch.where(kept, x, _LOW) * scale.to(x.dtype) + shift.to(x.dtype)
        return torch.where(self.rate > 0, y, x)

    def mean(self, x: Tensor) -> Tensor:
        """The input as it is."""
        return x
