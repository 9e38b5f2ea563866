"""Scores of some of the runs that are evaluated side by side, in PyTorch.

Shapes: R run, N example, K output, P numbers of one run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ravine.engine.objective import Objective
from ravine.engine.state import Data

Scores = tuple[Tensor, Tensor, Tensor]
"""Outputs (R, N, K), and loss and accuracy of each example, (R, N); for regression both are the squared error."""
Others = Mapping[str, Tensor]
"""Every tensor of a model that is not trained, (R, ...) by name."""


def some_scores(
    objective: Objective, points_RP: Tensor, others: Others, split: Data, rows: Sequence[int] | None
) -> Scores:
    """Scores of some runs, in PyTorch.

    Args:
        objective: of the runs.
        points_RP: their weights.
        others: every other tensor of the model, (R, ...) by name.
        split: the examples.
        rows: the runs, of which alone something is returned; None: all.
    """
    if rows is None or len(rows) == len(points_RP):
        return objective.scores(points_RP, others, split)
    spare = (
        max(0, fewest_runs() - len(rows)) if objective.fused else 0
    )  # so few would share the threads otherwise
    index = torch.tensor([*rows, *[rows[0]] * spare], device=points_RP.device)
    some = {name: tensor[index] for name, tensor in others.items()}
    found = objective.scores(points_RP[index].contiguous(), some, split)
    outputs_RNK, loss_RN, accuracy_RN = (each[: len(rows)] for each in found)
    return outputs_RNK, loss_RN, accuracy_RN


def fewest_runs() -> int:
    """Runs of a fused program whose bits do not depend on the number of threads, at least."""
    return max(2, torch.get_num_threads())
