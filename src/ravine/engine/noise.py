"""Noise that is added to gradients: a dial for how much of it a rule can bear.

Shapes: G run of a segment, P numbers of one run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ravine import rng
from ravine.tensors import Layout

STREAM = "gradient noise"


def noise_hypers(strengths: list[float], layout: Layout, device: torch.device) -> dict[str, Tensor]:
    """What a segment with noise reads: "noise", (G, 1), and "inside", (P,), 1 where a row has a number and no gap.

    Args:
        strengths: standard deviation of each run's noise.
        layout: of a row.
        device: where they are used.
    """
    inside_P = torch.zeros(layout.size)
    for start, shape in zip(layout.offsets, layout.shapes, strict=True):
        inside_P[start : start + math.prod(shape)] = 1.0
    return {
        "noise": torch.tensor([[strength] for strength in strengths], device=device),
        "inside": inside_P.to(device),
    }


def without_noise(hypers: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the rule reads."""
    return {name: tensor for name, tensor in hypers.items() if name not in ("noise", "inside")}


def noise_of(hypers: Mapping[str, Tensor], seeds_G: Tensor, number: Tensor) -> Tensor:
    """Independent normal numbers of a run's own strength, (G, P): a pure function of seed and step.

    Runs of one seed have the same noise but for its strength, whatever their rule.

    Args:
        hypers: `noise_hypers`.
        seeds_G: of the runs.
        number: of the step, from 0; one for all, or (G,).
    """
    inside_P = hypers["inside"]
    normal_GP = rng.normal(rng.key(seeds_G, STREAM, number), inside_P.shape)
    return normal_GP * inside_P * hypers["noise"]
