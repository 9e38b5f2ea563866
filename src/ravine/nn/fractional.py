"""Fractional max pooling, with a rate and a key per run.

Shapes: B batch, C channel, H W space; N places of an axis become n.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from ravine import rng
from ravine.nn.regions import drawn_starts, fixed_starts, windows
from ravine.nn.stochastic import Stochastic, checked_rate, checked_word

Regions = Literal["pseudo", "random"]
Test = Literal["fixed", "exact"]


class FractionalMaxPool2d(Stochastic):
    """Max pooling that makes a picture smaller by a ratio between 1 and 2, over regions that are drawn at random.

    Each axis of N places is cut into n = N / ratio regions of 1 or 2, rows and columns by themselves, and y is the
    maximum of each box of pixels. The regions are pseudo-random, s_i = ceil(alpha (i + u)) with alpha = N / n and one
    number u for an axis, or random: the 1s and 2s in any order. They may overlap by one place, as in the paper's best
    networks.

    sample: with new regions; mean: with the middle ones, u = 1/2 (``test="fixed"``), the mean over ``test=n`` fixed
    draws, or exactly the mean over all (``test="exact"``), as a sum over the few boxes that each output may have. The
    paper averages a network's predictions over several draws: that is mode "mc".

    The rate is the probability that regions are drawn; else, and for rate 0, they are the middle ones. The paper has
    rate 1.

    Two things differ from the paper. Its rule for u in (0, 1) gives a first region of 3 where alpha is above 1.5
    (alpha = 1.732, u = 0.8): here u stays below 3 / alpha - 1. And the last region ends with the picture.
    `torch.nn.FractionalMaxPool2d` is another algorithm: windows of one size, which skip pixels where that is less than
    the ratio, a u of its own for each example *and channel*, so that channels no longer lie above each other, and
    random in eval mode too.

    Args:
        ratio: N / n, above 1, at most 2; one number, or one for rows and one for columns. n is N / ratio, rounded down,
            but not below N / 2.
        regions: ``"pseudo"`` or ``"random"``.
        overlapping: whether a region contains the first place of the next.
        test: ``"fixed"``, ``"exact"``, or the number of draws.
        draw: ``"batch"``, the same regions for all examples of a batch, or ``"example"``.
        rate: in [0, 1].

    Raises:
        ValueError: for a ratio or a rate out of range, or an unknown word.

    References:
        Graham 2014, "Fractional max-pooling".

    Example:
        >>> FractionalMaxPool2d(2**0.5)(torch.randn(2, 3, 25, 25)).shape
        torch.Size([2, 3, 17, 17])
    """

    kind = "fractional_pool"

    def __init__(
        self,
        ratio: float | tuple[float, float] = 2**0.5,
        *,
        regions: Regions = "pseudo",
        overlapping: bool = True,
        test: Test | int = "fixed",
        draw: Literal["batch", "example"] = "batch",
        rate: float = 1.0,
    ) -> None:
        name = "FractionalMaxPool2d"
        super().__init__(checked_rate(name, rate))
        self.ratio = (ratio, ratio) if isinstance(ratio, int | float) else tuple(ratio)
        if len(self.ratio) != 2 or not all(1 < each <= 2 for each in self.ratio):
            raise ValueError(f"{name}: ratio must be above 1 and at most 2, not {ratio}")
        self.regions = checked_word(name, "regions", regions, ("pseudo", "random"))
        self.draw = checked_word(name, "draw", draw, ("batch", "example"))
        if test not in ("fixed", "exact") and (
            not isinstance(test, int) or isinstance(test, bool) or test < 1
        ):
            raise ValueError(f"{name}: test must be 'fixed', 'exact' or a number of draws, not {test!r}")
        self.test, self.overlapping = test, overlapping

    @property
    def rate_at_test(self) -> bool:
        """Where the mean is over several draws."""
        return self.test != "fixed"

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """How many rows and columns remain of a picture."""
        return _num_regions(height, self.ratio[0]), _num_regions(width, self.ratio[1])

    def sample(self, x: Tensor, key: Tensor) -> Tensor:
        """The maximum of each box of one draw."""
        lead = x.shape[:1] if self.draw == "example" else ()
        drawn = rng.bernoulli(rng.key(key, "drawn"), lead or (1,), self.rate)
        drawn = drawn.unsqueeze(-1) if lead else drawn
        starts = [self._starts(x, key, lead, axis, drawn) for axis in (0, 1)]
        return self._pooled(x, *starts)

    def mean(self, x: Tensor) -> Tensor:
        """The maximum of each box of the middle regions; or the mean over draws, or over all."""
        fixed = self._pooled(x, *(self._fixed(x, axis) for axis in (0, 1)))
        if self.test == "fixed":
            return fixed
        if self.test == "exact":
            drawn = self._expected(x)
        else:
            drawn = self._averaged(x, int(self.test))
        rate = self.rate.to(x.dtype)
        mixed = torch.where(rate < 1, rate * drawn + (1 - rate) * fixed, drawn)
        return torch.where(rate > 0, mixed, fixed)

    def _averaged(self, x: Tensor, num: int) -> Tensor:
        total = torch.zeros((), dtype=x.dtype, device=x.device)
        for number in range(num):
            key = rng.key(number, "fractional_pool/test").to(x.device)
            starts = [self._starts(x, key, (), axis, None) for axis in (0, 1)]
            total = total + self._pooled(x, *starts)
        return total / num

    def _expected(self, x: Tensor) -> Tensor:
        """The mean over all regions: rows and columns are drawn by themselves, so each box by its own chance."""
        (height, width), sizes = x.shape[-2:], self.output_size(*x.shape[-2:])
        total = torch.zeros((), dtype=x.dtype, device=x.device)
        for boxes, chances in zip(*windows(width, sizes[1], self.regions), strict=True):
            columns = self._largest(x, -1, _indices(boxes, x, self._ends))
            rows = torch.zeros((), dtype=x.dtype, device=x.device)
            for others, shares in zip(*windows(height, sizes[0], self.regions), strict=True):
                pooled = self._largest(columns, -2, _indices(others, x, self._ends))
                rows = rows + _shared(pooled, torch.tensor(shares, dtype=x.dtype, device=x.device)[:, None])
            total = total + _shared(rows, torch.tensor(chances, dtype=x.dtype, device=x.device))
        return total

    def _starts(
        self, x: Tensor, key: Tensor, lead: tuple[int, ...], axis: int, drawn: Tensor | None
    ) -> Tensor:
        places = x.shape[axis - 2]
        regions = self.output_size(*x.shape[-2:])[axis]
        starts = drawn_starts(key, lead, places, regions, self.regions, axis)
        return starts if drawn is None else torch.where(drawn, starts, self._fixed(x, axis))

    def _fixed(self, x: Tensor, axis: int) -> Tensor:
        starts = fixed_starts(x.shape[axis - 2], self.output_size(*x.shape[-2:])[axis])
        return torch.tensor(starts, device=x.device)

    def _pooled(self, x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """The maximum of each box; of equal numbers the first, row by row, gets the gradient."""
        y = self._largest(x, -1, self._ends(columns[..., :-1], columns[..., 1:]))
        return self._largest(y, -2, self._ends(rows[..., :-1], rows[..., 1:]))

    def _ends(self, starts: Tensor, nexts: Tensor) -> list[Tensor]:
        """The places of each region: as many lists as the largest has; those of smaller ones have places twice."""
        last = nexts if self.overlapping else nexts - 1
        last = torch.minimum(last, nexts[..., -1:] - 1)  # where the picture ends
        return [starts, *(torch.minimum(starts + k, last) for k in range(1, 3 if self.overlapping else 2))]

    def _largest(self, x: Tensor, dim: int, places: list[Tensor]) -> Tensor:
        y = _taken(x, dim, places[0])
        for place in places[1:]:
            other = _taken(x, dim, place)
            y = torch.where((other > y) | (other != other), other, y)
        return y


def _shared(x: Tensor, share: Tensor) -> Tensor:
    """Of a box that does not occur nothing, though it contain an infinity."""
    return torch.where(share > 0, x * share, 0.0)


def _num_regions(places: int, ratio: float) -> int:
    # A ratio such as 25/18 is no exact number: what is a whole number but for rounding is one.
    regions = max(math.floor(places / ratio + 1e-9), (places + 1) // 2)
    if places < 1 or regions < 1:
        raise ValueError(f"FractionalMaxPool2d: a side of {places} pixels cannot be pooled")
    return regions


def _indices(
    boxes: list[tuple[int, int]], x: Tensor, ends: Callable[[Tensor, Tensor], list[Tensor]]
) -> list[Tensor]:
    table = torch.tensor(boxes, device=x.device)
    return ends(table[:, 0], table[:, 1])


def _taken(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """The places of an axis, the same for all examples, or (B, n) of each."""
    if index.dim() == 1:
        return x.index_select(dim, index)
    shape = [*x.shape]
    shape[dim] = index.shape[-1]
    view = [len(index), *[1] * (x.dim() - 1)]
    view[dim] = index.shape[-1]
    return x.gather(dim, index.view(view).expand(shape))
