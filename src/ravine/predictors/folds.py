"""A predictor out of a study with folds: the winner of each fold, pooled.

Each member was trained on values that its own fold scaled. The raw values are prepared once, by the first fold, and a
member's module begins with what is left to do: a factor and a shift of each feature. So too at its end, for the target
of a regression.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ravine.data import Dataset
from ravine.data.counts import counted_preparation
from ravine.data.deal_folds import FoldOf
from ravine.data.inputs import NamesInput, TableInputs
from ravine.engine.device import find_device
from ravine.ensembles.members import winner_of
from ravine.ensembles.naming import member_of
from ravine.errors import InputError, StoreError, choices
from ravine.metrics import Metric
from ravine.outcomes.metric import by_metric
from ravine.outcomes.runs import final as final_value
from ravine.predictors.modules import module_of
from ravine.predictors.predictor import Part, Predictor
from ravine.predictors.stored import UserModel, model_of_run, weights_of
from ravine.study import FindStudy
from ravine.study.loss import is_poisson
from ravine.study.naming import naming
from ravine.study.reading import read_data

if TYPE_CHECKING:
    from ravine.store import RunRecord, Store
    from ravine.study.modes import Mode

_WHATS = ("winner", "ensemble")
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Change:
    """From the scales of one fold to those of another.

    Args:
        factor, shift: of an example's features.
        out_factor, out_shift: of the outputs, back again.
    """

    factor: Array
    shift: Array
    out_factor: float | tuple[float, ...] = 1.0
    out_shift: float | tuple[float, ...] = 0.0


@final
class Rescaled(nn.Module):
    """A network between two changes of scale: ``network(x factor + shift) out_factor + out_shift``.

    Args:
        network: takes examples as its own fold scaled them.
        change: to that, from the scales of the predictor's preparation.
    """

    factor: torch.Tensor
    shift: torch.Tensor

    def __init__(self, network: nn.Module, change: Change) -> None:
        super().__init__()
        self.network = network
        first = next(network.parameters())
        self.register_buffer("factor", torch.from_numpy(change.factor).to(first.device, first.dtype))
        self.register_buffer("shift", torch.from_numpy(change.shift).to(first.device, first.dtype))
        self.out_factor, self.out_shift = (
            torch.tensor(each, device=first.device, dtype=first.dtype) if isinstance(each, tuple) else each
            for each in (change.out_factor, change.out_shift)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs in the units of the predictor's preparation."""
        found: torch.Tensor = self.network(x * self.factor + self.shift)
        return found * self.out_factor + self.out_shift


def of_folds(
    store: Store,
    study_name: str,
    what: str = "winner",
    *,
    find: FindStudy,
    model: UserModel | None = None,
    trust: Sequence[str] = (),
    device: str = "auto",
    mode: Mode | None = None,
    metric: Metric | None = None,
) -> Predictor:
    """The winners of all folds as one predictor, each with the same share.

    An empty cell is filled in with the mean of the first fold's training part.

    Args:
        store: where the study is.
        study_name: its name.
        what: "winner", of each fold the best seed of the config that is best on its validation examples; "ensemble",
            all seeds of that config.
        find: gives the study, whose data say how each fold was scaled.
        model, trust, device: as in `of_store`.
        mode: None: folds have the mean pass only.
        metric: what configs are compared by; None: what the study's text names.

    Raises:
        InputError: there is no such thing, not all runs have finished, or the data are others now.
    """
    if what not in _WHATS:
        raise InputError(f"what = {what!r}: of a study with folds; {choices(what, _WHATS)}")
    if mode is not None:
        raise InputError(
            f"mode: study {study_name!r} has folds, whose winners predict by the mean pass alone"
        )
    where, record = find_device(device), store.study(study_name)
    runs = store.runs(study_name)
    left = sum(run.status not in ("done", "diverged") for run in runs)
    if left:
        raise InputError(
            f"study {study_name!r}: {left:,} of {len(runs):,} runs have not finished, so the winners of its folds "
            "are not known yet; `ravine run` with its file continues"
        )
    study, search = find()
    with naming(study.origin):
        data = read_data(study, search)
    if data.fingerprint != record.data_fingerprint or data.folds is None:
        raise StoreError(
            f"study {study_name!r} was trained on other data than its {data.name} is now (fingerprint "
            f"{record.data_fingerprint[:8]}, now {data.fingerprint[:8]})"
        )
    winners: dict[FoldOf, list[RunRecord]] = {}
    for part in data.folds.sizes:
        labels = store.labels.of(part.key(record.data_fingerprint))
        of_fold = [run for run in runs if run.recipe.get("part") == part.content()]
        own, column = by_metric(store, record, labels, of_fold, metric)
        seeds = [run for run in winner_of(own, column, study_name) if final_value(run, column) is not None]
        winners[part] = seeds if what == "ensemble" else seeds[:1]
    num = sum(map(len, winners.values()))
    rates = {is_poisson(run.recipe.get("loss")) for seeds in winners.values() for run in seeds}
    if len(rates) > 1:
        raise StoreError(
            f"study {study_name!r}: some of the folds' winners predict the logarithm of a rate (loss poisson), others "
            "numbers, so they have no mean; predict with a study that has one of these losses"
        )
    counts = rates == {True}
    parts = []
    for part, seeds in winners.items():
        members = [member_of(run) for run in seeds]
        tensors = weights_of(store, members)
        change = _change(data, data.folds.of(part), counts=counts)
        for run, member in zip(seeds, members, strict=True):
            built, own_search = model_of_run(run, find, model, trust)
            module = module_of(
                built,
                data.input_shape,
                data.num_outputs,
                tensors[member.name],
                search=own_search,
                device=where,
                where=f"run {run.id}",
                bodies={},
            )
            parts.append(Part(name=member.name, share=1.0 / num, model=Rescaled(module, change).eval()))
    prepared = data.known_preparation
    return Predictor(
        preparation=counted_preparation(prepared) if counts else prepared,
        members=tuple(sorted(parts, key=lambda each: each.name)),
    )


def _change(first: Dataset, own: Dataset, *, counts: bool) -> Change:
    """From values that the first fold scaled to those of another fold, and back for its outputs.

    Counts are in units of their mean in training, and outputs are logarithms of these.
    """
    before, after = first.known_preparation.inputs.scaling, own.known_preparation.inputs.scaling
    factor, shift = np.ones(first.input_shape), np.zeros(first.input_shape)
    if before.mean:
        mean0, deviation0 = (np.array(each).reshape(before.shape) for each in (before.mean, before.deviation))
        mean1, deviation1 = (np.array(each).reshape(after.shape) for each in (after.mean, after.deviation))
        factor, shift = factor * (deviation0 / deviation1), shift + (mean0 - mean1) / deviation1
    unseen = _unseen(own)
    factor, shift = np.where(unseen, 0.0, factor), np.where(unseen, 0.0, shift)
    if first.task != "regression":
        return Change(factor=factor, shift=shift)
    if counts:
        assert isinstance(own.target_mean, float), "one target"
        assert isinstance(first.target_mean, float), "one target"
        return Change(factor=factor, shift=shift, out_shift=math.log(own.target_mean / first.target_mean))
    mean, scale, mean0, scale0 = (
        np.asarray(each, dtype=np.float64)
        for each in (own.target_mean, own.target_scale, first.target_mean, first.target_scale)
    )
    out_factor, out_shift = (scale / scale0).tolist(), ((mean - mean0) / scale0).tolist()
    return Change(
        factor=factor,
        shift=shift,
        out_factor=tuple(out_factor) if isinstance(out_factor, list) else out_factor,
        out_shift=tuple(out_shift) if isinstance(out_shift, list) else out_shift,
    )


def _unseen(data: Dataset) -> npt.NDArray[np.bool_]:
    """Which features are levels that the training part of a fold has not: they are 0 for its networks."""
    inputs = data.known_preparation.inputs
    if not isinstance(inputs, TableInputs):
        return np.zeros(data.input_shape, dtype=bool)
    widths = [
        (isinstance(of, NamesInput), len(of.levels) if isinstance(of, NamesInput) else 1)
        for of in inputs.columns
    ]
    names = np.concatenate([np.full(width, named) for named, width in widths])
    used = np.zeros(data.input_shape, dtype=bool)
    for rows in data.train.chunks():
        used |= (data.train.some(rows) != 0.0).any(axis=0)
    return np.asarray(names & ~used)
