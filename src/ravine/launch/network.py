"""The network that some runs of a study train."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from ravine.data import Dataset
from ravine.engine.network import Network
from ravine.study import Run, Study


def network_of(
    study: Study, data: Dataset, runs: Sequence[Run], device: torch.device, search: Path | None
) -> Network:
    """The network of runs of one structure; its dropout layers are a part of it where any run drops units.

    Args:
        study: whose model it is.
        data: what goes in and comes out.
        runs: of the study.
        device: where they are trained.
        search: folder of the study file, where a user's module is looked for.

    Raises:
        ModelError: the model cannot be built, or does not fit the data.
    """
    return Network.of(
        study.model,
        data.input_shape,
        data.num_outputs,
        device=device,
        with_dropout=any(run.recipe.hypers["model.dropout"] > 0 for run in runs),
        search=search,
    )
