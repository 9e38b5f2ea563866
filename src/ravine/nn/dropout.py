"""Dropout with a rate and a key per run."""

from __future__ import annotations

import torch
from torch import Tensor

from ravine import rng
from ravine.nn.scale import SCALES, Scale, at_test, in_training
from ravine.nn.stochastic import Stochastic, checked_rate, checked_word


class Dropout(Stochastic):
    """Dropout: zeroes each unit with probability p while training.

    With z ~ Bernoulli(1 - p), of the shape of x:

    - ``scale="inverted"``, sample: y = x z / (1 - p); mean: y = x.
    - ``scale="classic"``, sample: y = x z; mean: y = (1 - p) x.

    Both have the same mean pass up to the factor 1 - p, which the weights behind the layer take up.

    p is the probability of *dropping*, as in PyTorch; in the paper p keeps. p = 0 is exactly the identity, and at
    p = 1 everything is dropped: y is 0, whatever x is, and so is its gradient. What is kept stays as it is, infinities
    too. Unlike in `torch.nn.Dropout`, p is a buffer (0-d tensor), so that runs trained side by side may differ in it,
    and the mask is a pure function of a key: with one key, a higher p drops all that a lower one drops, and more.

    Args:
        rate: probability of dropping, in [0, 1].
        num_shared: how many trailing dimensions share one draw; 2 drops whole channels of (B, C, H, W).
        scale: ``"inverted"`` divides in training, ``"classic"`` multiplies at test.

    Attributes:
        mask: a fixed z, for inspection and tests, or to share one between calls: `draw_mask` makes one. It must
            broadcast against x. None: z is drawn at each call.

    Raises:
        ValueError: for a rate outside [0, 1], an unknown scale, or an input of fewer dimensions than share a draw.

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

    def __init__(self, rate: float = 0.5, num_shared: int = 0, scale: Scale = "inverted") -> None:
        super().__init__(checked_rate("Dropout", rate))
        if num_shared < 0:
            raise ValueError(f"Dropout: num_shared must be at least 0, not {num_shared}")
        self.num_shared = num_shared
        self.scale = checked_word("Dropout", "scale", scale, SCALES)
        self.mask: Tensor | None = None

    @property
    def rate_at_test(self) -> bool:
        """In the classic scale."""
        return self.scale == "classic"

    def draw_mask(self, x: Tensor, key: Tensor) -> Tensor:
        """z for an input of that shape: 1 where a unit is kept, 0 where it is dropped.

        Args:
            x: the input; only its shape is used.
            key: 0-d int64, from `ravine.rng.key`.

        Returns:
            float32, shape of x, with 1 for dimensions that share a draw.
        """
        return self._kept(x, key).to(torch.float32)

    def _kept(self, x: Tensor, key: Tensor) -> Tensor:
        if x.dim() < self.num_shared:
            raise ValueError(
                f"Dropout: an input of shape {tuple(x.shape)} has no {self.num_shared} dimensions that share a draw"
            )
        drawn = x.shape[: x.dim() - self.num_shared]
        return rng.bernoulli(key, drawn, 1 - self.rate).reshape(drawn + (1,) * self.num_shared)

    def sample(self, x: Tensor, key: Tensor) -> Tensor:
        """x z / (1 - p), or x z."""
        kept = self._kept(x, key) if self.mask is None else self.mask != 0
        # No product: infinity times 0 is no number.
        return in_training(torch.where(kept, x, 0.0), self.rate, self.scale)

    def mean(self, x: Tensor) -> Tensor:
        """x, whose mean the division by 1 - p has already made that of y; or (1 - p) x."""
        return at_test(x, self.rate, self.scale)
