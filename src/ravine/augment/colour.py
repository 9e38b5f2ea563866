"""Colour: brightness, contrast, saturation, hue and noise along principal colours, on pixels from 0 to 1.

In the fixed order all of it is one matrix and one offset for each picture, and is done on standardized numbers as
they are: standardization is folded into both. In a random order each step is clamped to [0, 1], so pixels are made out
of the numbers, changed, and standardized again.

Shapes: B batch, C channel, H W space, O order: one of the four steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import permutations
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ravine.augment.geometry import sin_cos
from ravine.augment.numbers import Words
from ravine.augment.spec import COLOUR

GREY = (0.2989, 0.587, 0.114)
"""A colour's grey, of red, green and blue, as in ITU-R BT.601."""
STEPS = ("brightness", "contrast", "saturation", "hue")
ORDERS = tuple(permutations(range(len(STEPS))))
# Hue in the fixed order is a turn in the plane of YIQ's colours.
_TO_YIQ = ((0.299, 0.587, 0.114), (0.595716, -0.274453, -0.321263), (0.211456, -0.522591, 0.311135))


def drawn_colour(words: Words, strengths: Mapping[str, Tensor], order: str) -> dict[str, Tensor]:
    """The numbers of each picture's colour, (B,) each, by name.

    Args:
        words: of the examples.
        strengths: 0-d each.
        order: "fixed" or "random".
    """
    found: dict[str, Tensor] = {}
    for name in STEPS[:3]:
        if name in strengths:
            low = (1.0 - strengths[name]).clamp(min=0.0)
            found[name] = low + words.uniform(name) * (1.0 + strengths[name] - low)
    if "hue" in strengths:
        found["hue"] = words.signed("hue") * strengths["hue"]
    if order == "random" and found:
        # Of all four steps, whichever of them there are: one more changes nothing of the others.
        found["order"] = (words.of("order") * len(ORDERS)) >> 32
    if "pca" in strengths:
        found |= {f"pca_{i}": words.normal(f"pca_{i}") * strengths["pca"] for i in range(3)}
    return found


def coloured(
    x_BCHW: Tensor,
    numbers: Mapping[str, Tensor],
    strengths: Mapping[str, Tensor],
    fixed: Mapping[str, Tensor],
    order: str,
) -> Tensor:
    """Pictures in other colours, (B, C, H, W), standardized as before.

    Args:
        x_BCHW: standardized.
        numbers: of each picture, see `drawn_colour`.
        strengths: 0-d each; where one is 0, its step leaves every bit.
        fixed: "mean" and "deviation" of the standardization and "pca", see `ravine.augment.fixed`.
        order: "fixed" or "random".
    """
    if not any(name in strengths for name in COLOUR):
        return x_BCHW
    mean, deviation = fixed["mean"], fixed["deviation"]
    if order == "random":
        pixels = x_BCHW * deviation + mean
        pixels = _in_random_order(pixels, numbers, strengths)
        if "pca" in strengths:
            shift = torch.stack(noise_of(numbers, fixed["pca"]), 1)[:, :, None, None]
            pixels = torch.where(strengths["pca"] != 0, pixels + shift, pixels)
        changed = (pixels - mean) / deviation
    else:
        changed = _by_matrix(x_BCHW, colour_matrix(numbers, strengths, fixed, x_BCHW.shape[1]))
    return torch.where(is_active(strengths), changed, x_BCHW)


def is_active(strengths: Mapping[str, Tensor]) -> Tensor:
    """Whether a run changes colours at all, bool, 0-d."""
    return torch.stack([strengths[name] for name in COLOUR if name in strengths]).amax() > 0


def noise_of(numbers: Mapping[str, Tensor], pca_CC: Tensor) -> list[Tensor]:
    """What is added to each channel, (B,) each: the principal colours, each times its eigenvalue and alpha."""
    alphas = [numbers[f"pca_{i}"] for i in range(len(pca_CC))]
    return [_dot([pca_CC[row, i] for i in range(len(pca_CC))], alphas) for row in range(len(pca_CC))]


# The fixed order.

Matrix = list[list[Tensor]]


class Colours(NamedTuple):
    """What the fixed order does to standardized numbers: ``matrix x + offset + lift grey``.

    Args:
        matrix: (B,) each.
        offset: of each channel, (B,) each.
        lift: of each channel, (B,) each, times ``grey``; None: there is no contrast.
        weights: grey is ``base + weights . means``, the mean grey of the picture, out of the channels' means.
        base: see `weights`.
    """

    matrix: Matrix
    offset: list[Tensor]
    lift: list[Tensor] | None
    weights: list[Tensor]
    base: Tensor


def colour_matrix(
    numbers: Mapping[str, Tensor], strengths: Mapping[str, Tensor], fixed: Mapping[str, Tensor], num: int
) -> Colours:
    """All steps of the fixed order as one matrix on standardized numbers.

    Args:
        numbers: of each picture, see `drawn_colour`.
        strengths: 0-d each.
        fixed: of the training part.
        num: channels, 1 or 3.
    """
    one = torch.ones_like(next(iter(numbers.values())))
    zero = torch.zeros_like(one)
    matrix: Matrix = [[one if row == column else zero for column in range(num)] for row in range(num)]
    lift, greys = None, (GREY if num == 3 else (1.0,))
    if "brightness" in strengths:
        matrix = [[each * numbers["brightness"] for each in row] for row in matrix]
    if "contrast" in strengths:
        factor = numbers["contrast"]
        rest = (1.0 - factor) * numbers.get("brightness", one)
        matrix = [[each * factor for each in row] for row in matrix]
        lift = [rest] * num
    if "saturation" in strengths:
        factor = numbers["saturation"]
        less = [(1.0 - factor) * weight for weight in greys]
        saturate = [[less[j] + factor if i == j else less[j] for j in range(num)] for i in range(num)]
        matrix, lift = _times(saturate, matrix), lift and [_dot(row, lift) for row in saturate]
    if "hue" in strengths:
        turn = _hue_matrix(numbers["hue"], strengths["hue"] != 0)
        matrix, lift = _times(turn, matrix), lift and [_dot(row, lift) for row in turn]
    # Pixels are made of the numbers, and they of pixels again.
    mean_C, deviation_C = (list(fixed[name].flatten().unbind()) for name in ("mean", "deviation"))
    shift = noise_of(numbers, fixed["pca"]) if "pca" in strengths else [zero] * num
    offset = [(_dot(row, mean_C) + shift[i] - mean_C[i]) / deviation_C[i] for i, row in enumerate(matrix)]
    return Colours(
        matrix=[
            [each * (deviation_C[j] / deviation_C[i]) for j, each in enumerate(row)]
            for i, row in enumerate(matrix)
        ],
        offset=offset,
        lift=lift and [each / deviation_C[i] for i, each in enumerate(lift)],
        weights=[weight * deviation_C[i] for i, weight in enumerate(greys)],
        base=_dot([torch.full_like(mean_C[0], weight) for weight in greys], mean_C),
    )


def _by_matrix(x: Tensor, colours: Colours) -> Tensor:
    offset = colours.offset
    if colours.lift is not None:
        means = x.mean((2, 3)).unbind(1)
        grey = colours.base + _dot(colours.weights, list(means))
        offset = [each + lift * grey for each, lift in zip(offset, colours.lift, strict=True)]
    parts = []
    for row, total in zip(colours.matrix, offset, strict=True):
        total = total[:, None, None]
        for channel, each in enumerate(row):
            total = total + each[:, None, None] * x[:, channel]
        parts.append(total)
    return torch.stack(parts, 1)


def _dot(left: list[Tensor], right: list[Tensor]) -> Tensor:
    total = left[0] * right[0]
    for a, b in zip(left[1:], right[1:], strict=True):
        total = total + a * b
    return total


def _times(left: Matrix, right: Matrix) -> Matrix:
    return [[_dot(row, [each[j] for each in right]) for j in range(len(right[0]))] for row in left]


@cache
def _from_yiq() -> list[list[float]]:
    found: list[list[float]] = np.linalg.inv(np.array(_TO_YIQ)).tolist()
    return found


def _hue_matrix(turns: Tensor, active: Tensor) -> Matrix:
    sine, cosine = sin_cos(turns * 360.0)
    back, found = _from_yiq(), []
    for row in range(3):
        line = []
        for column in range(3):
            y, i, q = (_TO_YIQ[k][column] for k in range(3))
            first, second, third = back[row]
            still, along, across = first * y, second * i + third * q, third * i - second * q
            value = still + along * cosine + across * sine
            line.append(torch.where(active, value, 1.0 if row == column else 0.0))
        found.append(line)
    return found


# The random order.


def _in_random_order(
    pixels: Tensor, numbers: Mapping[str, Tensor], strengths: Mapping[str, Tensor]
) -> Tensor:
    if "order" not in numbers:
        return pixels
    orders_O4 = torch.tensor(ORDERS, dtype=torch.int64, device=pixels.device)
    order_B4 = orders_O4.index_select(0, numbers["order"])
    for stage in range(len(STEPS)):
        before = pixels
        for i, name in enumerate(STEPS):
            if name in strengths:
                now = (order_B4[:, stage] == i) & (strengths[name] != 0)
                changed = _STEP[name](before, numbers[name][:, None, None, None]).clamp(0.0, 1.0)
                pixels = torch.where(now[:, None, None, None], changed, pixels)
    return pixels


def grey_of(pixels: Tensor) -> Tensor:
    """The grey of pictures, (B, 1, H, W)."""
    if pixels.shape[1] == 1:
        return pixels
    red, green, blue = pixels[:, 0:1], pixels[:, 1:2], pixels[:, 2:3]
    return GREY[0] * red + GREY[1] * green + GREY[2] * blue


def _brightness(pixels: Tensor, factor: Tensor) -> Tensor:
    return pixels * factor


def _contrast(pixels: Tensor, factor: Tensor) -> Tensor:
    mean = grey_of(pixels).mean((2, 3), keepdim=True)
    return pixels * factor + (1.0 - factor) * mean


def _saturation(pixels: Tensor, factor: Tensor) -> Tensor:
    return pixels * factor + (1.0 - factor) * grey_of(pixels)


def _hue(pixels: Tensor, turns: Tensor) -> Tensor:
    """HSV's hue turned, value and saturation kept; a grey pixel has no hue and stays."""
    red, green, blue = pixels[:, 0:1], pixels[:, 1:2], pixels[:, 2:3]
    top = torch.maximum(torch.maximum(red, green), blue)
    bottom = torch.minimum(torch.minimum(red, green), blue)
    width = top - bottom
    safe = torch.where(width > 0, width, 1.0)
    of_red, of_green = (green - blue) / safe, (blue - red) / safe + 2.0
    sixths = torch.where(top == red, of_red, torch.where(top == green, of_green, (red - green) / safe + 4.0))
    sixths = sixths + turns * 6.0
    # The channel n sixths on from blue's corner is v - (v - bottom) max(0, min(k, 4 - k, 1)), k = (n + h) mod 6.
    parts = []
    for n in (5.0, 3.0, 1.0):
        k = sixths + n
        k = k - (k * (1 / 6)).floor() * 6.0
        parts.append(top - width * torch.minimum(k, 4.0 - k).clamp(0.0, 1.0))
    turned = torch.cat(parts, 1)
    return torch.where(width > 0, turned, pixels)


_STEP = {"brightness": _brightness, "contrast": _contrast, "saturation": _saturation, "hue": _hue}
