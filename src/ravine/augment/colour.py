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

import numpy as np
import torch
from torch import Tensor

from ravine.augment.geometry import sin_cos
from ravine.augment.numbers import Words
from ravine.augment.spec import COLOUR

GREY = (0.2989, 0.587, 0.114)
"""A colour's grey, of red, green and blue, as in ITU-R BT.601."""
STEPS = ("brightness", "contrast", "saturation", "hue")
_ORDERS = tuple(permutations(range(len(STEPS))))
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
        found["order"] = (words.of("order") * len(_ORDERS)) >> 32
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
    used = [name for name in COLOUR if name in strengths]
    if not used:
        return x_BCHW
    mean, deviation = fixed["mean"], fixed["deviation"]
    if order == "random":
        pixels = x_BCHW * deviation + mean
        pixels = _in_random_order(pixels, numbers, strengths)
        if "pca" in strengths:
            shift = _noise(numbers, fixed["pca"])
            pixels = torch.where(strengths["pca"] != 0, pixels + shift[:, :, None, None], pixels)
        changed = (pixels - mean) / deviation
    else:
        changed = _by_matrix(x_BCHW, numbers, strengths, fixed)
    active = torch.stack([strengths[name] for name in used]).amax() > 0
    return torch.where(active, changed, x_BCHW)


def _noise(numbers: Mapping[str, Tensor], pca_CC: Tensor) -> Tensor:
    """What is added to each channel, (B, C): the principal colours, each times its eigenvalue and alpha."""
    num = len(pca_CC)
    return torch.stack(
        [
            torch.stack([pca_CC[row, i] * numbers[f"pca_{i}"] for i in range(num)]).sum(0)
            for row in range(num)
        ],
        1,
    )


# The fixed order.


Matrix = list[list[Tensor]]


def colour_matrix(
    numbers: Mapping[str, Tensor],
    strengths: Mapping[str, Tensor],
    means: list[Tensor],
) -> tuple[Matrix, list[Tensor]]:
    """What brightness, contrast, saturation and hue do to a pixel, (B,) each: a matrix and an offset.

    Args:
        numbers: of each picture.
        strengths: 0-d each.
        means: of each channel of each picture, before, in pixels.
    """
    num = len(means)
    one = torch.ones_like(means[0])
    zero = torch.zeros_like(one)
    matrix: Matrix = [[one if row == column else zero for column in range(num)] for row in range(num)]
    offset = [zero] * num
    if "brightness" in strengths:
        factor = numbers["brightness"]
        matrix = [[each * factor for each in row] for row in matrix]
    if "contrast" in strengths:
        factor = numbers["contrast"]
        now = [_dot(row, means) for row in matrix]
        grey = _dot([one * weight for weight in GREY], now) if num == 3 else now[0]
        matrix = [[each * factor for each in row] for row in matrix]
        offset = [each * factor + (1.0 - factor) * grey for each in offset]
    if "saturation" in strengths:
        factor = numbers["saturation"]
        rest = 1.0 - factor
        saturate = [
            [rest * GREY[j] + factor if i == j else rest * GREY[j] for j in range(num)] for i in range(num)
        ]
        matrix, offset = _times(saturate, matrix), [_dot(row, offset) for row in saturate]
    if "hue" in strengths:
        turn = _hue_matrix(numbers["hue"], strengths["hue"] != 0)
        matrix, offset = _times(turn, matrix), [_dot(row, offset) for row in turn]
    return matrix, offset


def _by_matrix(
    x: Tensor, numbers: Mapping[str, Tensor], strengths: Mapping[str, Tensor], fixed: Mapping[str, Tensor]
) -> Tensor:
    mean_C, deviation_C = fixed["mean"].flatten(), fixed["deviation"].flatten()
    num = x.shape[1]
    means = x.mean((2, 3))
    pixel_means = [means[:, i] * deviation_C[i] + mean_C[i] for i in range(num)]
    matrix, offset = colour_matrix(numbers, strengths, pixel_means)
    if "pca" in strengths:
        shift = _noise(numbers, fixed["pca"])
        offset = [each + shift[:, i] for i, each in enumerate(offset)]
    # On standardized numbers: pixels are made of them, and they of pixels.
    own_mean = [mean_C[i] for i in range(num)]
    offset = [
        (_dot(row, own_mean) + offset[i] - own_mean[i]) / deviation_C[i] for i, row in enumerate(matrix)
    ]
    parts = []
    for i, row in enumerate(matrix):
        scaled = [each * (deviation_C[j] / deviation_C[i]) for j, each in enumerate(row)]
        total = offset[i][:, None, None]
        for j, each in enumerate(scaled):
            total = total + each[:, None, None] * x[:, j]
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
    orders_O4 = torch.tensor(_ORDERS, dtype=torch.int64, device=pixels.device)
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
