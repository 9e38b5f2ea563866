"""A head that is trained on features: the network without its body.

Shapes: B batch, D feature, K output.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ravine.backbones.assembled import HeadAlone, head_layers, head_of
from ravine.data import Dataset, Examples
from ravine.nn.spec import Head
from ravine.nn.standard import Standard, moments, standardized
from ravine.study import Recipe
from ravine.study.boundary import HEAD, boundary_of
from ravine.study.recipe import MARKS


def on_features(recipe: Recipe) -> bool:
    """Whether a run learns from features computed once: its body has learned elsewhere, and no phase trains it."""
    return boundary_of(recipe) == (HEAD,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standardized:
    """Features at one scale, found on their training part.

    Args:
        data: the features.
        mean, deviation: (D,) each; see `Standard`.
    """

    data: Dataset
    mean: npt.NDArray[np.float32]
    deviation: npt.NDArray[np.float32]

    @staticmethod
    def of(data: Dataset) -> Standardized:
        """Features, brought to the scale of their training part."""
        mean, deviation = moments(data.train.x)

        def part(examples: Examples) -> Examples:
            return Examples(
                x=standardized(examples.x, mean, deviation), y=examples.y, weights=examples.weights
            )

        scaled = replace(data, train=part(data.train), validation=part(data.validation), test=part(data.test))
        return Standardized(data=scaled, mean=mean, deviation=deviation)

    def network(self, spec: Head, rates: Collection[str]) -> HeadAlone:
        """The head that learns from them, with initial weights from torch's generator.

        Args:
            spec: of the head.
            rates: those that the runs give.
        """
        head = head_of(spec, len(self.mean), self.data.num_outputs, head_layers(spec, rates))
        assert isinstance(head.standard, Standard), "a head begins with its scale"
        head.standard.given = True
        head.standard.mean = torch.tensor(self.mean)
        head.standard.deviation = torch.tensor(self.deviation)
        return HeadAlone(head)


def structure_of_body(model: Mapping[str, Any]) -> dict[str, Any]:
    """What a recipe says of the body of its model: what features, and a store's frozen weights, are known by."""
    return {name: value for name, value in model.items() if name not in ("head", "norm", *MARKS)}
