"""Networks evaluated in float64: an example's prediction does not depend on the examples beside it.

In float32 the last bits of a matrix product depend on how many rows it has: the same row, alone and among others, had
probabilities that differed by 2e-7 (digits), which scikit-learn's checks of subsets refuse.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from ravine.data.scale import Floats
from ravine.predictors.predictor import Predictor
from ravine.tensors import writable


class Exact:
    """A module in evaluation mode, as float64.

    Args:
        module: of linear layers; it is converted in place.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module.double()

    def run(self, x: Floats) -> np.ndarray:
        """Outputs (B, K) for prepared examples (B, ...)."""
        with torch.inference_mode():
            return np.asarray(self.module(torch.from_numpy(writable(x)).double()).numpy())


def exact(predictor: Predictor) -> Predictor:
    """The same predictor with its modules in float64."""
    members = (
        replace(each, model=Exact(each.model)) if isinstance(each.model, nn.Module) else each
        for each in predictor.members
    )
    return replace(predictor, members=tuple(members))
