"""A predictor out of a study with folds: the winner of each fold, pooled.

Each member was trained on values that its own fold scaled. The raw values are prepared once, by the first fold, and a
member's module begins with what is left to do: a factor and a shift of each feature. So too at its end, for the target
of a regression.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ravine.data import Dataset
from ravine.data.counts import counted_preparation
from ravine.data.inputs import NamesInput, TableInputs
from ravine.engine.device import find_device
from ravine.ensembles.naming import member_of
from ravine.errors import InputError
from ravine.metrics import Metric
from ravine.predictors.fold_choice import FoldWinners, fold_winners
from ravine.predictors.modules import module_of
from ravine.predictors.predictor import Part, Predictor
from ravine.predictors.rescaled import Change, Rescaled
from ravine.predictors.stored import UserModel, model_of_run, weights_of
from ravine.study import FindStudy

if TYPE_CHECKING:
    from ravine.store import Store
    from ravine.study.modes import Mode


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
    data: Dataset | None = None,
    metric: Metric | None = None,
) -> Predictor:
    """The winners of all folds as one predictor, each with the same share.

    An empty cell is filled in with the mean of the first fold's training part.

    Args:
        store: where the study is.
        study_name: its name.
        what: as in `fold_winners`.
        find: gives the study, whose data say how each fold was scaled.
        model, trust, device: as in `of_store`.
        mode: None: folds have the mean pass only.
        data: the study's, where they are at hand.
        metric: what configs are compared by; None: what the study's text names.

    Raises:
        InputError: there is no such thing, not all runs have finished, or the data are others now.
    """
    if mode is not None:
        raise InputError(
            f"mode: study {study_name!r} has folds, whose winners predict by the mean pass alone"
        )
    found = fold_winners(store, study_name, what, find=find, data=data, metric=metric)
    return predictor_of_folds(found, store, find=find, model=model, trust=trust, device=device)


def predictor_of_folds(
    found: FoldWinners,
    store: Store,
    *,
    find: FindStudy,
    model: UserModel | None = None,
    trust: Sequence[str] = (),
    device: str = "auto",
) -> Predictor:
    """The predictor that winners of folds are. See `of_folds`."""
    where, data = find_device(device), found.data
    folds = data.folds
    assert folds is not None, "they are winners of folds"
    num = sum(map(len, found.winners.values()))
    parts = []
    for part, seeds in found.winners.items():
        members = [member_of(run) for run in seeds]
        tensors = weights_of(store, members)
        change = _change(data, folds.of(part), counts=found.counts)
        for run, member in zip(seeds, members, strict=True):
            built, search = model_of_run(run, find, model, trust)
            module = module_of(
                built,
                data.input_shape,
                data.num_outputs,
                tensors[member.name],
                search=search,
                device=where,
                where=f"run {run.id}",
                bodies={},
            )
            parts.append(Part(name=member.name, share=1.0 / num, model=Rescaled(module, change).eval()))
    prepared = data.known_preparation
    return Predictor(
        preparation=counted_preparation(prepared) if found.counts else prepared,
        members=tuple(sorted(parts, key=lambda each: each.name)),
        metric=found.metric,
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
