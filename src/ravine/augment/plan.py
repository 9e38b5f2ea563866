"""The numbers of each picture: all that is drawn for it and follows from that, before a pixel is looked at.

Shapes: B batch, P number of a picture.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ravine.augment.boxes import drawn_cut
from ravine.augment.colour import STEPS, colour_matrix, drawn_colour, is_active, noise_of
from ravine.augment.geometry import drawn_map
from ravine.augment.numbers import Words
from ravine.augment.spec import COLOUR, Augment


def planned(
    words: Words,
    strengths: Mapping[str, Tensor],
    fixed: Mapping[str, Tensor],
    options: Augment,
    shape: tuple[int, int, int],
) -> dict[str, Tensor]:
    """The numbers of each picture but those of mixing, float32 (B,) each, by name.

    Args:
        words: of the examples.
        strengths: 0-d each.
        fixed: of the training part.
        options: structure.
        shape: of a picture, (C, H, W).
    """
    channels, height, width = shape
    found = drawn_map(words, strengths, height, width)
    if any(name in strengths for name in COLOUR):
        drawn = drawn_colour(words, strengths, options.order)
        like = words.uniform("order")
        found["coloured"] = is_active(strengths).to(like.dtype).expand_as(like)
        if options.order == "fixed":
            colours = colour_matrix(drawn, strengths, fixed, channels)
            found |= {
                f"matrix_{i}{j}": each for i, row in enumerate(colours.matrix) for j, each in enumerate(row)
            }
            found |= {f"offset_{i}": each for i, each in enumerate(colours.offset)}
            if colours.lift is not None:
                found |= {f"lift_{i}": each for i, each in enumerate(colours.lift)}
                found |= {f"weight_{i}": each.expand_as(like) for i, each in enumerate(colours.weights)}
                found["base"] = colours.base.expand_as(like)
        else:
            for name in (name for name in STEPS if name in drawn):
                found[name] = drawn[name]
                found[f"active_{name}"] = (strengths[name] != 0).to(like.dtype).expand_as(like)
            if "order" in drawn:
                found["order"] = drawn["order"].to(like.dtype)
            if "pca" in strengths:
                found |= {f"noise_{i}": each for i, each in enumerate(noise_of(drawn, fixed["pca"]))}
    if "cutout" in strengths:
        found |= drawn_cut(words, strengths["cutout"], (height, width), options.fit)
    return found
