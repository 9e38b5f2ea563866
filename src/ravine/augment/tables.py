"""Rows of a table: noise, and cells that get another row's value.

A cell's word is number (example D + column) of its key, so a draw depends on neither the batch nor other techniques.

Shapes: N row of the source, B batch, D column.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ravine import rng


def changed(
    x_ND: Tensor,
    rows_B: Tensor,
    examples_B: Tensor,
    strengths: Mapping[str, Tensor],
    seed: int | Tensor,
    epoch: int | Tensor,
    training_ND: Tensor,
) -> Tensor:
    """Rows with noise and swapped cells, (B, D).

    A dropped cell gets the value that another training row has in its column (swap noise), not a constant: each
    column keeps its distribution, and 0 would be a common value of many.

    Args:
        x_ND: the source.
        rows_B: the rows in it.
        examples_B: the numbers that they draw by.
        strengths: 0-d each.
        seed, epoch: of the draw.
        training_ND: the training part, in training the source itself.
    """
    found = x_ND.index_select(0, rows_B)
    num_rows, width = training_ND.shape
    places = examples_B[:, None] * width + torch.arange(width, device=x_ND.device)

    def words(name: str) -> Tensor:
        return rng.bits_at(rng.key(seed, f"augment/{name}", epoch), places)

    if "cell_dropout" in strengths:
        donor = (words("donor") * num_rows) >> 32
        dropped = rng.to_bernoulli(words("cell_dropout"), strengths["cell_dropout"])
        found = torch.where(dropped, training_ND.gather(0, donor), found)
    if "noise" in strengths:
        normal = rng.to_normal(rng.to_uniform(words("noise")))
        found = torch.where(strengths["noise"] != 0, found + strengths["noise"] * normal, found)
    return found
