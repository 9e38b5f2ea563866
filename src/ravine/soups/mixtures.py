"""Weighted means of members' weights, evaluated on the validation examples.

The statistics of a model's norms belong to its weights, so they are estimated again from the whole training part at
every mixture, members themselves included. Everything else that is no parameter is averaged too, but for whole numbers.

Shapes: R member, G mixture, N example, K output, P numbers of one member.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ravine.engine.points import Points
from ravine.engine.state import Data
from ravine.engine.statistics import Statistics
from ravine.errors import InputError
from ravine.launch.trained import Trained
from ravine.outcomes.member import Member
from ravine.outcomes.trials import Split

Array = NDArray[np.float64]

_AT_ONCE = 64  # mixtures whose statistics are estimated together
_COUNTER = "num_batches_tracked"  # how many batches a norm has seen: no number of the function


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixtures:
    """What mixtures of some members are made of.

    Args:
        trained: their data and model.
        members: R of them.
        params_RP: their parameters.
        others: every other tensor of the model, (R, ...) by name.
        statistics: of the norms, on the training part.
        points: the losses of mixtures on validation.
    """

    trained: Trained
    members: tuple[Member, ...]
    params_RP: Tensor
    others: Mapping[str, Tensor]
    statistics: Statistics
    points: Points

    @staticmethod
    def of(trained: Trained, members: Sequence[Member], batch_size: int) -> Mixtures:
        """The mixtures of some members.

        Args:
            trained: their data and model.
            members: which.
            batch_size: of the batches by which norms are estimated.

        Raises:
            StoreError: weights are missing, or a file is damaged.
            InputError: members differ in whole numbers, of which there is no mean.
        """
        params_RP, others = trained.points(members)
        for name, tensor in others.items():
            if tensor.is_floating_point() or name.rpartition(".")[2] == _COUNTER:
                continue
            other = next((row for row in range(1, len(tensor)) if not tensor[row].equal(tensor[0])), None)
            if other is not None:
                raise InputError(
                    f"runs: {members[0].short} and {members[other].short} differ in {name!r}, a buffer of whole "
                    "numbers, which have no mean: their weights cannot be averaged"
                )
        network, data = trained.network, trained.data
        where = Data.of(data.train, trained.device)
        return Mixtures(
            trained=trained,
            members=tuple(members),
            params_RP=params_RP,
            others=others,
            statistics=Statistics(network, where.x, batch_size, None, _backend(trained)),
            points=Points(
                network,
                trained.loss,
                Data.of(data.validation, trained.device),
                unit=trained.unit,
                most=_AT_ONCE,
            ),
        )

    def losses(self, shares_GR: Array, *, again: bool = True) -> tuple[Array, Array]:
        """Loss and accuracy of each validation example at each mixture, (G, N); of a regression twice the loss.

        Args:
            shares_GR: of the members in each mixture; a row sums to 1.
            again: whether statistics are estimated again.
        """
        parts = []
        for start in range(0, len(shares_GR), _AT_ONCE):
            params_GP, others = self._mixed(shares_GR[start : start + _AT_ONCE], again=again)
            found = self.points.examples(
                len(params_GP),
                lambda first, last, rows_GP, params_GP=params_GP: rows_GP.copy_(params_GP[first:last]),  # type: ignore[misc]
                others,
            )
            parts += [(loss.cpu().numpy(), accuracy.cpu().numpy()) for loss, accuracy in found]
        losses, accuracies = zip(*parts, strict=True)
        return np.concatenate(losses), np.concatenate(accuracies)

    def tensors(self, shares_R: Array) -> dict[str, np.ndarray]:
        """All tensors of one mixture by name; of a member alone its own, statistics included."""
        params_1P, others = self._mixed(shares_R[None], again=bool(np.count_nonzero(shares_R) > 1))
        parameters = self.trained.network.layout.view_one(params_1P[0])
        found = {**parameters, **{name: tensor[0] for name, tensor in others.items()}}
        return {name: np.array(tensor.cpu().numpy()) for name, tensor in found.items()}

    def outputs(self, shares_R: Array, split: Split) -> np.ndarray:
        """What one mixture predicts: logits (N, K), or values (N,) in the target's own units."""
        params_1P, others = self._mixed(shares_R[None], again=bool(np.count_nonzero(shares_R) > 1))
        return self.trained.outputs(params_1P, others, split)

    def _mixed(self, shares_GR: Array, *, again: bool) -> tuple[Tensor, dict[str, Tensor]]:
        params_GP = _mean(self.params_RP, shares_GR)
        others = {name: _mean(tensor, shares_GR) for name, tensor in self.others.items()}
        if again and self.statistics:
            others = self.statistics.estimate(params_GP, others, range(len(params_GP)))
        return params_GP, others


def _mean(tensor: Tensor, shares_GR: Array) -> Tensor:
    """Of the members' tensors (R, ...) for each mixture, (G, ...): in float64; whole numbers are the first member's."""
    if not tensor.is_floating_point():
        rows = torch.from_numpy((shares_GR > 0.0).argmax(axis=1)).to(tensor.device)
        return tensor[rows]
    found = torch.zeros(len(shares_GR), *tensor.shape[1:], dtype=torch.float64, device=tensor.device)
    for mixture, shares_R in zip(found, shares_GR, strict=True):
        used = np.flatnonzero(shares_R)
        equal = bool((shares_R[used] == shares_R[used[0]]).all())
        for row in used:
            mixture.add_(tensor[row].double(), alpha=1.0 if equal else float(shares_R[row]))
        if equal:  # the mean itself, so that equal members are it to the last bit
            mixture.div_(len(used))
    return found.to(tensor.dtype)


def _backend(trained: Trained) -> str:
    """What estimates statistics: machine code where there is any, else one mixture after another."""
    return "native" if trained.device.type == "cpu" else "serial"
