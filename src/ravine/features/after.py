"""What runs are trained on whose frozen part ends before some block: activations, and the blocks that come after."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from ravine.backbones.assembled import Assembled, head_layers, head_of
from ravine.backbones.split import Parts
from ravine.data import Dataset
from ravine.nn.spec import Head

MOST_BYTES = 2 << 30
"""Of the activations of a whole data set. A study goes by it, and not by a machine's memory, for its runs' bits do."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Activations:
    """What the frozen part of a network makes of a data set, and the network that learns from it.

    Args:
        data: the activations.
        parts: of the body.
        width: D, how many features the head is given.
    """

    data: Dataset
    parts: Parts
    width: int

    def network(self, spec: Head, rates: Collection[str]) -> Assembled:
        """What comes after the frozen part, with initial weights from torch's generator, drawn as for the whole.

        Args:
            spec: of the head.
            rates: those that the runs give.
        """
        head = head_of(spec, self.width, self.data.num_outputs, head_layers(spec, rates))
        return self.parts.under(head)


def num_bytes(parts: Parts, data: Dataset, *, wide: bool = False) -> int:
    """How large the activations of a data set are; `wide`: in float64."""
    return (
        (8 if wide else 4)
        * math.prod(parts.shape)
        * (len(data.train) + len(data.validation) + len(data.test))
    )
