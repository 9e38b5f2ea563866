"""All of geometry as one map from a picture's pixels back to the source, which is read once.

A pixel's place is its column and row; the origin is the centre, ((W - 1) / 2, (H - 1) / 2); y goes down. A picture is
sheared, stretched, scaled, turned and shifted, seen through a lens, cropped and mirrored, in this order. The map goes
backwards: for a pixel of the result, at (X, Y) from the centre,

    (X, Y) <- (X f + shift_x, Y + shift_y)                      mirror (f is 1 or -1) and crop
    (X, Y) <- (X, Y) (1 + lens r^2)                             r over the half diagonal
    (X, Y) <- (X, Y) - (move_x, move_y)                         translate
    source = (xx X + xy Y, yx X + yy Y)                         turn, scale, stretch and shear, inverted

read bilinearly between the four pixels around. At strengths of 0 the numbers are exactly 1 and 0, and a place that is
a whole number is read exactly, so shifts and mirrors copy pixels bit for bit.

Shapes: N picture of the source, B batch, C channel, H W space.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from ravine import rng
from ravine.augment.numbers import Words

Numbers = Mapping[str, Tensor]
WHOLE = ("flip", "crop")  # they move pixels to pixels


def drawn_map(words: Words, strengths: Mapping[str, Tensor], height: int, width: int) -> dict[str, Tensor]:
    """The numbers of each picture's map, (B,) each, by name: only those that some technique needs.

    Args:
        words: of the examples.
        strengths: 0-d each.
        height, width: of the pictures.
    """
    found: dict[str, Tensor] = {}
    if "flip" in strengths:
        found["mirrored"] = mirrored(words, strengths["flip"])
    if "crop" in strengths:
        pad = strengths["crop"]
        for side in ("x", "y"):
            found[f"shift_{side}"] = (words.uniform(f"crop_{side}") * (2 * pad + 1)).floor() - pad
    if "lens" in strengths:
        found["lens"] = words.signed("lens") * strengths["lens"]
    if "translate" in strengths:
        found["move_x"] = words.signed("translate_x") * (strengths["translate"] * width)
        found["move_y"] = words.signed("translate_y") * (strengths["translate"] * height)
    turned = [name for name in ("scale", "rotate", "shear", "stretch") if name in strengths]
    if turned:
        draws = {name: words.signed(name) * strengths[name] for name in turned}
        found |= inverse(**draws)
    return found


def mirrored(words: Words, probability: Tensor) -> Tensor:
    """-1 where a picture is mirrored and 1 where it is not; a higher probability mirrors more of them."""
    return torch.where(rng.to_bernoulli(words.of("flip"), probability), -1.0, 1.0)


def inverse(
    scale: Tensor | None = None,
    rotate: Tensor | None = None,
    shear: Tensor | None = None,
    stretch: Tensor | None = None,
) -> dict[str, Tensor]:
    """The matrix from the result back to the source: turn, scale, stretch and shear, inverted.

    Args:
        scale: size times 1 + this.
        rotate: degrees, counter-clockwise.
        shear: degrees, the top to the right.
        stretch: width over height times 1 + this.
    """
    given = next(each for each in (scale, rotate, shear, stretch) if each is not None)
    zero = torch.zeros_like(given)
    sine, cosine = sin_cos(rotate) if rotate is not None else (zero, zero + 1.0)
    size = 1.0 + scale if scale is not None else zero + 1.0
    root = (1.0 + stretch).sqrt() if stretch is not None else zero + 1.0
    wide, high = 1.0 / (size * root), root / size
    xx, xy, yx, yy = cosine * wide, -sine * wide, sine * high, cosine * high
    if shear is not None:
        down, along = sin_cos(shear)
        tangent = down / along
        xx, xy = xx + tangent * yx, xy + tangent * yy
    return {"xx": xx, "xy": xy, "yx": yx, "yy": yy}


def sin_cos(degrees: Tensor) -> tuple[Tensor, Tensor]:
    """Sine and cosine of degrees, exact at multiples of 90, within 1e-7 elsewhere.

    By Cephes' polynomials (S. Moshier, 1989): the same bits from every kind of program, which a library's are not.

    Example:
        >>> [float(each) + 0.0 for each in sin_cos(torch.tensor(-90.0))]
        [-1.0, 0.0]
    """
    turns = (degrees * (1 / 90)).round()
    x = (degrees - turns * 90.0) * (math.pi / 180)
    z = x * x
    sine = x + x * z * ((z * -1.9515295891e-4 + 8.3321608736e-3) * z - 1.6666654611e-1)
    cosine = (
        1.0 - 0.5 * z + z * z * ((z * 2.443315711809948e-5 - 1.388731625493765e-3) * z + 4.166664568298827e-2)
    )
    quarter = turns - 4.0 * (turns * 0.25).floor()
    odd, back = (quarter == 1.0) | (quarter == 3.0), quarter >= 2.0
    above, ahead = torch.where(odd, cosine, sine), torch.where(odd, -sine, cosine)
    return torch.where(back, -above, above), torch.where(back, -ahead, ahead)


def source_of(numbers: Numbers, height: int, width: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Column and row in the source of every pixel, each broadcastable to (B, H, W).

    Args:
        numbers: of the map, (B,) each.
        height, width: of the pictures.
        like: a float tensor on the device.
    """
    given = {name: each[:, None, None] for name, each in numbers.items()}
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    x = (torch.arange(width, device=like.device).to(like.dtype) - middle_x)[None, None]
    y = (torch.arange(height, device=like.device).to(like.dtype) - middle_y)[None, :, None]
    if "mirrored" in given:
        x = x * given["mirrored"]
    if "shift_x" in given:
        x, y = x + given["shift_x"], y + given["shift_y"]
    if "lens" in given:
        half_diagonal = max(middle_x**2 + middle_y**2, 1.0)
        factor = 1.0 + given["lens"] * ((x * x + y * y) * (1 / half_diagonal))
        x, y = x * factor, y * factor
    if "move_x" in given:
        x, y = x - given["move_x"], y - given["move_y"]
    if "xx" in given:
        x, y = given["xx"] * x + given["xy"] * y, given["yx"] * x + given["yy"] * y
    return x + middle_x, y + middle_y


def moved(
    x_NCHW: Tensor, rows_B: Tensor, numbers: Numbers, fill: str, outside_C: Tensor, names: Collection[str]
) -> Tensor:
    """Pictures read through their maps, (B, C, H, W).

    Args:
        x_NCHW: the source.
        rows_B: the pictures in it.
        numbers: of their maps, (B,) each; empty: the pictures as they are.
        fill: what lies outside, an option of `ravine.augment.spec.Augment`.
        outside_C: each channel's number there, unless the picture is mirrored.
        names: the techniques; where all move pixels to pixels, one of the four is read.
    """
    source = x_NCHW.index_select(0, rows_B)
    if not numbers:
        return source
    height, width = source.shape[-2:]
    x, y = source_of(numbers, height, width, source)
    across, down = _Axis(x, width, fill), _Axis(y, height, fill)
    flat = source.flatten(2)

    def pixel(place_x: Tensor, place_y: Tensor) -> Tensor:
        row = place_y.clamp(0, height - 1).to(torch.int64)
        column = place_x.clamp(0, width - 1).to(torch.int64)
        place = row * width + column
        place = place.expand(len(rows_B), height, width).flatten(1)[:, None].expand(-1, flat.shape[1], -1)
        found: Tensor = flat.gather(2, place).unflatten(2, (height, width))
        if fill == "reflect":
            return found
        inside = (place_x >= 0) & (place_x < width) & (place_y >= 0) & (place_y < height)
        return torch.where(inside[:, None], found, outside_C[:, None, None])

    if set(names) <= set(WHOLE):
        return pixel(across.first, down.first)
    left = between(pixel(across.first, down.first), pixel(across.first, down.second), down.part)
    right = between(pixel(across.second, down.first), pixel(across.second, down.second), down.part)
    return between(left, right, across.part)


def between(first: Tensor, second: Tensor, part: Tensor) -> Tensor:
    """A part of the way from one number to the next: exactly the first where the part is 0, whatever the next is."""
    found: Tensor = torch.where(part == 0.0, first, first + part * (second - first))
    return found


class _Axis:
    """Places along one side: the pixel at or before each, the one after it, and the part of the way between them."""

    def __init__(self, place: Tensor, size: int, fill: str) -> None:
        if fill == "reflect" and size > 1:
            period = 2.0 * (size - 1)
            place = place.abs()
            place = place - (place * (1 / period)).floor() * period
            place = torch.minimum(place, period - place).clamp(0.0, size - 1.0)
        elif fill == "reflect":
            place = torch.zeros_like(place)
        else:
            place = place.clamp(-1.0, float(size))  # no farther than where nothing but the fill is
        self.first = place.floor()
        self.part = (place - self.first)[:, None]
        self.second = (self.first + 1.0).clamp(max=size - 1.0) if fill == "reflect" else self.first + 1.0
