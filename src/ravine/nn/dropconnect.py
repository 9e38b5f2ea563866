"""DropConnect: weights are dropped, not units, with a rate and a key per run.

Shapes: B batch, C input channels, O outputs, H W space, D inputs.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine import rng
from ravine.nn.activations import FUNCTIONS, ActivationName, mean_of
from ravine.nn.scale import SCALES, Scale, at_test, in_training
from ravine.nn.stochastic import Stochastic, checked_rate, checked_word

Draw = Literal["batch", "example", "gaussian"]
_DRAWS: tuple[Draw, ...] = ("batch", "example", "gaussian")


class _DropConnect(Stochastic):
    """A layer a(W x + b) whose weights and biases are dropped with probability p while training.

    Attributes:
        weight: W, the same numbers as PyTorch's layer starts from.
        bias: b, or None.
    """

    kind = "dropconnect"
    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(
        self, rate: float, weight: Tensor, bias: Tensor | None, activation: str, draw: Draw, scale: Scale
    ) -> None:
        name = type(self).__name__
        super().__init__(checked_rate(name, rate))
        self.activation = checked_word(name, "activation", activation, tuple(FUNCTIONS))
        self.draw = checked_word(name, "draw", draw, _DRAWS)
        self.scale = checked_word(name, "scale", scale, SCALES)
        self.weight = nn.Parameter(weight)
        self.register_parameter("bias", None if bias is None else nn.Parameter(bias))

    @property
    def rate_at_test(self) -> bool:
        """The variance of what goes into the activation does."""
        return True

    @abstractmethod
    def _product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """W x + b."""

    @abstractmethod
    def _products(self, x: Tensor, weights: Tensor, biases: Tensor | None) -> Tensor:
        """W x + b with weights (B, ...) and biases (B, O) for each example."""

    @abstractmethod
    def _num_examples(self, x: Tensor) -> int:
        """How many examples there are, each with a mask of its own."""

    def sample(self, x: Tensor, key: Tensor) -> Tensor:
        """a((M W) x + m b), or a(u) with a normal u of that mean and variance."""
        function = FUNCTIONS[self.activation]
        if self.draw == "gaussian":
            mean, variance = self.moments(x)
            spread = variance > 0
            deviation = torch.where(spread, variance, 1.0).sqrt()
            noise = rng.normal(key, mean.shape).to(mean.dtype)
            return function(torch.where(spread, mean + deviation * noise, mean))
        lead = (self._num_examples(x),) if self.draw == "example" else ()
        num_weights, num_biases = self.weight.numel(), 0 if self.bias is None else self.bias.numel()
        kept = rng.bernoulli(key, (*lead, num_weights + num_biases), 1 - self.rate)
        weights = self._dropped(kept[..., :num_weights].reshape(lead + self.weight.shape), self.weight)
        biases = None if self.bias is None else self._dropped(kept[..., num_weights:], self.bias)
        return function((self._products if lead else self._product)(x, weights, biases))

    def mean(self, x: Tensor) -> Tensor:
        """E[a(u)] for u ~ N(mean, variance), by `moments`."""
        return mean_of(self.activation, *self.moments(x))

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance over the masks of what goes into the activation: exact for each number by itself.

        With q = 1 - p: mean q (W x + b), variance p q (W^2 x^2 + b^2); divided by q and q^2 where the scale is
        inverted.
        """
        keep = (1 - self.rate).to(x.dtype)
        safe = torch.where(keep > 0, keep, 1.0)
        inverted = self.scale == "inverted"
        bias = self.bias
        mean = self._product(x, self.weight, bias)
        squares = self._product(x * x, self.weight * self.weight, None if bias is None else bias * bias)
        factor = self.rate.to(x.dtype) / safe if inverted else self.rate.to(x.dtype) * keep
        some = (self.rate > 0) & (keep > 0)
        variance = torch.where(some, squares * factor, 0.0)
        return at_test(mean, self.rate, self.scale), variance

    def _dropped(self, kept: Tensor, weights: Tensor) -> Tensor:
        return in_training(torch.where(kept, weights, 0.0), self.rate, self.scale)

    def extra_repr(self) -> str:
        """Shown by `print(module)`."""
        shape = "x".join(map(str, self.weight.shape))
        return f"{shape}, activation={self.activation}, draw={self.draw}, {super().extra_repr()}"


class DropConnectLinear(_DropConnect):
    """A linear layer with its activation, whose weights and biases are dropped with probability p while training.

    sample: y = a((M W) x + m b) with M, m ~ Bernoulli(1 - p), of the shapes of W and b. With ``draw="batch"`` all
    examples share one mask; with ``"example"`` each has one of its own, as in the paper, for B times the memory; with
    ``"gaussian"`` u = W x + b is drawn from a normal distribution of the same mean and variance, an example and output
    by itself. mean: y = E[a(u)] for that normal u, in closed form for ReLU: moment matching, as the paper's test time,
    but without its draws. A forward pass with weights scaled by 1 - p, a(E[u]), is another number.

    p is the probability of dropping; in the paper p keeps. p = 0 is exactly a(W x + b), and at p = 1 the sample is
    a(0). EfficientNet's "drop connect" is something else, `StochasticDepth`.

    Args:
        in_features: D.
        out_features: O.
        rate: probability p of dropping a weight, in [0, 1].
        bias: whether there is one.
        activation: a, which the layer must know: ``"none"``, ``"relu"``, ``"tanh"``, ``"gelu"`` or ``"silu"``.
        draw: see above.
        scale: ``"classic"``, as in the paper; ``"inverted"`` divides what is kept by 1 - p.

    Raises:
        ValueError: for a rate outside [0, 1], or an unknown word.

    References:
        Wan et al. 2013, "Regularization of neural networks using DropConnect".

    Example:
        >>> layer = DropConnectLinear(3, 2, 0.5, activation="relu")
        >>> layer(torch.ones(4, 3)).shape, list(layer.state_dict())
        (torch.Size([4, 2]), ['weight', 'bias'])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        rate: float = 0.5,
        *,
        bias: bool = True,
        activation: ActivationName = "none",
        draw: Draw = "batch",
        scale: Scale = "classic",
    ) -> None:
        like = nn.Linear(in_features, out_features, bias=bias)
        super().__init__(rate, like.weight, like.bias, activation, draw, scale)

    def _product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.linear(x, weight, bias)

    def _products(self, x: Tensor, weights: Tensor, biases: Tensor | None) -> Tensor:
        y = (x.flatten(1, -2) if x.dim() > 2 else x[:, None]) @ weights.mT
        if biases is not None:
            y = y + biases[:, None]
        return y.reshape(*x.shape[:-1], y.shape[-1])

    def _num_examples(self, x: Tensor) -> int:
        return _length(self, x, 2)


class DropConnectConv2d(_DropConnect):
    """A convolution with its activation, whose weights and biases are dropped with probability p while training.

    As `DropConnectLinear`: with ``draw="batch"`` one mask for all examples, with ``"example"`` one each, as a
    convolution in groups, with ``"gaussian"`` a normal draw for each number. The mean pass is exact for each number's
    mean and variance; that places share a mask, and so vary together, plays no part in it.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: of the square kernel.
        rate: probability p of dropping a weight, in [0, 1].
        stride, padding: as in `torch.nn.Conv2d`.
        bias: whether there is one.
        activation: a, which the layer must know: ``"none"``, ``"relu"``, ``"tanh"``, ``"gelu"`` or ``"silu"``.
        draw: ``"batch"``, ``"example"`` or ``"gaussian"``.
        scale: ``"classic"``, as in the paper; ``"inverted"`` divides what is kept by 1 - p.

    Raises:
        ValueError: for a rate outside [0, 1], or an unknown word.

    Example:
        >>> DropConnectConv2d(3, 8, 3, padding=1, activation="relu")(torch.ones(2, 3, 5, 5)).shape
        torch.Size([2, 8, 5, 5])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        rate: float = 0.5,
        *,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
        activation: ActivationName = "none",
        draw: Draw = "batch",
        scale: Scale = "classic",
    ) -> None:
        like = nn.Conv2d(in_channels, out_channels, kernel_size, bias=bias)
        super().__init__(rate, like.weight, like.bias, activation, draw, scale)
        self.stride, self.padding = stride, padding

    def _product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(x, weight, bias, self.stride, self.padding)

    def _products(self, x: Tensor, weights: Tensor, biases: Tensor | None) -> Tensor:
        num = len(x)
        flat = None if biases is None else biases.flatten()
        y = F.conv2d(
            x.reshape(1, -1, *x.shape[2:]), weights.flatten(0, 1), flat, self.stride, self.padding, groups=num
        )
        return y.reshape(num, -1, *y.shape[2:])

    def _num_examples(self, x: Tensor) -> int:
        return _length(self, x, 4)


def _length(layer: nn.Module, x: Tensor, least: int) -> int:
    """Of a batch."""
    if x.dim() < least:
        name = type(layer).__name__
        raise ValueError(f"{name}: draw = 'example' needs a batch of examples, not shape {tuple(x.shape)}")
    return len(x)
