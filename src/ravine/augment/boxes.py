"""Boxes of pictures: those that cutout fills, and those that cutmix takes from another picture.

A box is (top, bottom, left, right), in pixels, without its last row and column; an empty one changes nothing.

Shapes: B batch, C channel, H W space.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ravine.augment.numbers import Words


def box_at(
    u_y: Tensor, u_x: Tensor, high: Tensor, wide: Tensor, size: tuple[int, int], fit: str
) -> dict[str, Tensor]:
    """A box of so many rows and columns at a random place.

    Args:
        u_y, u_x: uniform in [0, 1).
        high, wide: whole numbers, from 0 to the picture's.
        size: height and width of the picture.
        fit: "clip": the centre is any pixel, what juts out is cut off; "inside": all places are as likely.
    """
    found = {}
    for (low, end), u, side, whole in (
        (("top", "bottom"), u_y, high, size[0]),
        (("left", "right"), u_x, wide, size[1]),
    ):
        if fit == "clip":
            start = (u * whole).floor() - (side * 0.5).floor()
        else:
            start = (u * (whole - side + 1.0)).floor()
        found[low] = start.clamp(0.0, float(whole))
        found[end] = (start + side).clamp(0.0, float(whole))
    return found


def inside(box: Mapping[str, Tensor], height: int, width: int) -> Tensor:
    """Which pixels lie in each box, bool (B, 1, H, W)."""
    top, bottom, left, right = (box[name][:, None, None, None] for name in ("top", "bottom", "left", "right"))
    y = torch.arange(height, device=top.device).to(top.dtype)[:, None]
    x = torch.arange(width, device=top.device).to(top.dtype)
    return (y >= top) & (y < bottom) & (x >= left) & (x < right)


def area_of(box: Mapping[str, Tensor], height: int, width: int) -> Tensor:
    """The part of the picture that each box covers, (B,)."""
    return (box["bottom"] - box["top"]) * (box["right"] - box["left"]) / (height * width)


def drawn_cut(words: Words, size: Tensor, shape: tuple[int, int], fit: str) -> dict[str, Tensor]:
    """The box that cutout fills in each picture: a part of each side, rounded to pixels."""
    u_y, u_x = words.uniform("cutout_y"), words.uniform("cutout_x")
    sides = [(size * side + 0.5).floor() for side in shape]
    box = box_at(u_y, u_x, sides[0], sides[1], shape, fit)
    return {f"cut_{name}": each for name, each in box.items()}


def cut(x_BCHW: Tensor, numbers: Mapping[str, Tensor], fill_C: Tensor) -> Tensor:
    """Pictures with their boxes filled."""
    box = {name.removeprefix("cut_"): each for name, each in numbers.items() if name.startswith("cut_")}
    height, width = x_BCHW.shape[-2:]
    return torch.where(inside(box, height, width), fill_C[:, None, None], x_BCHW)
