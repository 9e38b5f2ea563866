"""Noise that is added to gradients, to find out how much of it a rule can bear.

Shapes: G run of a segment, P numbers of one run.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ravine import rng
from ravine.tensors import Layout

STREAM = "gradient noise"


def inside(layout: Layout, device: torch.device) -> Tensor:
    """1 where a row has a number and 0 in its gaps, (P,).

    Args:
        layout: of a row.
        device: where it is used.
    """
    inside_P = torch.zeros(layout.size)
    for start, shape in zip(layout.offsets, layout.shapes, strict=True):
        inside_P[start : start + math.prod(shape)] = 1.0
    return inside_P.to(device)


def noise_of(strength_G1: Tensor, inside_P: Tensor, seeds_G: Tensor, number: Tensor) -> Tensor:
    """Independent normal numbers of a run's own strength, (G, P): a pure function of seed and step.

    Runs of one seed have the same noise but for its strength, whatever their rule.

    Args:
        strength_G1: standard deviation of each run's noise.
        inside_P: of `inside`.
        seeds_G: of the runs.
        number: of the step, from 0; one for all, or (G,).
    """
    normal_GP = rng.normal(rng.key(seeds_G, STREAM, number), inside_P.shape)
    return normal_GP * inside_P * strength_G1
