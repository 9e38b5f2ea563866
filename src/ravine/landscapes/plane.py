"""Planes in the space of weights: of principal components, and of filter-normalized random directions.

Shapes: R run, M point, P numbers of one run.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ravine import rng
from ravine.tensors import Layout

_COLUMNS = 1 << 20  # numbers of a point that are looked at in float64 at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """A plane, and where points lie in it.

    Args:
        center_P: its origin.
        axes_2P: two directions.
        places_M2: of the points.
        off_M: their distances from the plane.
        far_M: their distances from the origin.
        shares: of the points' variance along each axis.
    """

    center_P: Tensor
    axes_2P: Tensor
    places_M2: Tensor
    off_M: Tensor
    far_M: Tensor
    shares: tuple[float, float]


def principal_plane(points_MP: Tensor) -> Axes:
    """The plane with most of the variance of some points, through their mean.

    The eigenvectors of the Gram matrix of the centred points are their places along the axes; so nothing of the size of
    P x P is needed. Signs are chosen so that the last point lies farther along each axis than the first.

    Args:
        points_MP: at least three, in float32 or float64; they are centred in place.
    """
    center_P = points_MP.double().mean(0) if points_MP.shape[1] <= _COLUMNS else points_MP.mean(0).double()
    points_MP -= center_P.to(points_MP.dtype)
    gram_MM = torch.zeros(len(points_MP), len(points_MP), dtype=torch.float64, device=points_MP.device)
    for part in points_MP.split(_COLUMNS, dim=1):
        wide = part.double()
        gram_MM += wide @ wide.T
    values_M, vectors_MM = torch.linalg.eigh(gram_MM)
    values_2, vectors_M2 = values_M[-2:].flip(0).clamp_min(0.0), vectors_MM[:, -2:].flip(1)
    turned_2 = vectors_M2[-1] < vectors_M2[0]
    vectors_M2 = torch.where(turned_2, -vectors_M2, vectors_M2)
    sizes_2 = values_2.sqrt()
    weights_M2 = vectors_M2 / sizes_2.clamp_min(1e-300)
    axes_2P = torch.cat([weights_M2.T @ part.double() for part in points_MP.split(_COLUMNS, dim=1)], 1)
    places_M2 = vectors_M2 * sizes_2
    squares_M = gram_MM.diagonal()
    total = float(squares_M.sum()) or 1.0
    return Axes(
        center_P=center_P.to(points_MP.dtype),
        axes_2P=axes_2P.to(points_MP.dtype),
        places_M2=places_M2,
        off_M=(squares_M - places_M2.square().sum(1)).clamp_min(0.0).sqrt(),
        far_M=squares_M.sqrt(),
        shares=(float(values_2[0]) / total, float(values_2[1]) / total),
    )


def filter_normalized(layout: Layout, weights_P: Tensor, seed: int, number: int) -> Tensor:
    """A random direction whose part in each filter is as long as that filter's weights, (P,).

    Normal numbers, scaled filter by filter: a row of a matrix, an output channel of a convolution. Parameters of one
    dimension (biases, scales and shifts of norms) stay as they are: their part is 0.

    Args:
        layout: of the weights.
        weights_P: at which the direction begins.
        seed: of the draw.
        number: of the direction.

    Source:
        H. Li et al., Visualizing the Loss Landscape of Neural Nets, 2018.
    """
    drawn_P = rng.normal(rng.key(seed, "landscape/direction", number), (layout.size,)).to(weights_P.device)
    drawn, weights = layout.view_one(drawn_P), layout.view_one(weights_P)
    scaled = {}
    for name, direction in drawn.items():
        if direction.dim() < 2:
            scaled[name] = torch.zeros_like(direction)
            continue
        ours, theirs = direction.flatten(1), weights[name].flatten(1)
        lengths = theirs.norm(dim=1, keepdim=True) / ours.norm(dim=1, keepdim=True)
        scaled[name] = (ours * lengths).view_as(direction)
    return layout.pack(scaled)
