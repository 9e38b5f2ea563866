"""Averages that are made out of what runs stored, evaluated on validation data beside the runs' own weights.

Shapes: R run, P numbers of one run, C channel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final, get_args

import numpy as np
import torch
from torch import Tensor

from ravine.averages.asked import Asked
from ravine.averages.findings import Made, percent
from ravine.averages.profiles import Combination, Profile, combine
from ravine.averages.vectors import Stored
from ravine.engine.state import Data
from ravine.engine.statistics import Statistics
from ravine.errors import InputError
from ravine.launch.subject import stored_run
from ravine.launch.trained import Trained
from ravine.outcomes.trials import Split
from ravine.rules.averages import Average, chosen
from ravine.store import AveragedTensors, RunRecord, Store, kind_of
from ravine.study import Study
from ravine.study.bank import STEPS, bank_averages, bank_steps

MOST = 0.05
"""The largest error of a profile that is not refused."""
_FINER = (40, 80, 160)  # steps of a bank that are tried where one of 20 is too coarse
_TRIED_ON = 2000  # steps of the run on which they are tried


def make(
    study: Study,
    store: Store,
    record: RunRecord,
    wanted: Asked,
    *,
    search: Path | None = None,
    device: str = "auto",
    keep: bool = False,
) -> Made:
    """An average of a run, made when the run is over.

    Its ``weights`` are every tensor of the model by name: trained parameters summed in float64 and rounded once,
    BatchNorm's statistics estimated again from all training examples, and everything else as the run left it.

    Args:
        study: the run's, for data and model.
        store: where the run is.
        record: the run, which is done.
        wanted: which average.
        search: the study file's folder.
        device: "auto", "cpu", "cuda" or "mps".
        keep: whether it is stored beside the run, as averages are that training moved along.

    Raises:
        InputError: what the run stored does not suffice, or data or model are others than when it was trained.
    """
    if keep:
        store.check_writable()
    stored = Stored.of(store, record)
    found = combination(stored, wanted)
    evaluating = Evaluating.of(study, store, [record], search=search, device=device)
    weights = stored.weighted(found.coefficients.tolist(), evaluating.names)
    points_1P = evaluating.packed([weights])
    others = evaluating.again(points_1P)
    tensors = {name: tensor[0].cpu().numpy() for name, tensor in others.items()}
    made = Made(
        run=record.id,
        rule=record.rule,
        seed=record.seed,
        average=wanted.name,
        steps=record.num_steps,
        error=found.error,
        amplification=found.amplification,
        coefficients={
            vector.name: float(x) for vector, x in zip(stored.vectors, found.coefficients, strict=True) if x
        },
        examples=len(evaluating.trained.train.x) if evaluating.statistics else 0,
        own={name: value for name, value in record.metrics.items() if name in evaluating.metrics},
        scores={name: float(values_R[0]) for name, values_R in evaluating.scores(points_1P, others).items()},
        weights={**weights, **tensors},
        stored_as=kept_name(wanted) if keep else "",
    )
    if keep and made.stored_as not in store.averages.names([record.id])[record.id]:
        found_of = AveragedTensors(
            runs=[record.id],
            weights={name: array[None] for name, array in made.weights.items()},
            predictions=evaluating.predictions(points_1P, others),
        )
        scores = {kind_of(made.stored_as, name): value for name, value in made.scores.items()}
        store.averages.add({made.stored_as: found_of}, {record.id: scores})
    return made


def kept_name(wanted: Asked) -> str:
    """What an average is stored as: not what one is called that training moved along, whose profile is exact.

    Example:
        >>> kept_name(Asked(kind="ema", value=0.999))
        'made ema 0.999'
    """
    return f"made {wanted.name}"


def combination(stored: Stored, wanted: Asked) -> Combination:
    """How an average is made out of what a run stored.

    Raises:
        InputError: its profile would be too far from the one that is wanted.
    """
    steps = stored.record.num_steps
    average = wanted.average(steps, stored.kept)
    found = combine([vector.profile for vector in stored.vectors], average, steps)
    if found.error > MOST:
        cure = next_time(wanted, stored, average)
        if cure.startswith("averages"):
            cure += ", in a finished run after `ravine run FILE --again-for averages`"
        raise InputError(
            f"run {stored.record.id}: {wanted.name} cannot be made of what it stored: its profile would be off by "
            f"{percent(found.error)}, and at most {percent(MOST)} are allowed; {cure}"
        )
    return found


def next_time(wanted: Asked, stored: Stored, average: Average) -> str:
    """What to keep next time so that an average can be made."""
    steps = stored.record.num_steps
    if wanted.kind == "last":
        return 'keep = { every = "epoch" } keeps more'
    if not stored.has_bank and _bank_error(STEPS, average, steps) <= MOST:
        return "averages = { bank = true } keeps enough for it"
    if wanted.kind == "ema":
        return f"averages = {{ ema = {wanted.value!r} }} keeps it"
    if wanted.kind == "tail":
        return f"averages = {{ polyak = {{ from = {1.0 - wanted.value:.6g} }} }} keeps it"
    for num in _FINER:
        if _bank_error(num, average, min(steps, _TRIED_ON)) <= MOST:
            return f"averages = {{ bank = {{ steps = {num} }} }} keeps enough for it"
    return "no bank is fine enough: ask for a greater width"


def _bank_error(num: int, average: Average, steps: int) -> float:
    """How well a bank would do."""
    at = bank_steps(num, steps)
    vectors = [Profile(average=each, at=step) for each in bank_averages() for step in at]
    end = Profile(average=chosen([steps]), at=steps)
    return combine([*vectors, end], average, steps).error


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluating:
    """Runs of one config, whose weights are replaced by others and evaluated on validation data.

    Args:
        trained: what the runs are made of.
        ending: every other tensor of the model at the end of each run, (R, ...) by name.
        statistics: estimates BatchNorm's statistics again from all training examples, as the runs' own backend does.
    """

    trained: Trained
    ending: Mapping[str, Tensor]
    statistics: Statistics

    @staticmethod
    def of(
        study: Study,
        store: Store,
        records: Sequence[RunRecord],
        *,
        search: Path | None = None,
        device: str = "auto",
    ) -> Evaluating:
        """Of some runs of one config.

        Raises:
            InputError: data or model are others than when the runs were trained.
        """
        trained = Trained.of(study, store, records, search=search, device=device, examples=2**62)
        _, ending = trained.weights([record.id for record in records])
        backend, _, where = (records[0].backend or "").partition(" on ")
        word = backend if where == trained.device.type else "serial"
        batch_size = stored_run(records[0]).recipe.batch_size
        statistics = Statistics(trained.network, trained.train.x, batch_size, None, word)
        return Evaluating(trained=trained, ending=ending, statistics=statistics)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the trained parameters."""
        return self.trained.network.layout.names

    @property
    def metrics(self) -> tuple[str, ...]:
        """The scores that there are."""
        regression = self.trained.data.task == "regression"
        return ("validation_loss",) if regression else ("validation_loss", "validation_accuracy")

    def packed(self, weights: Sequence[Mapping[str, np.ndarray]]) -> Tensor:
        """Parameters of all runs, (R, P)."""
        tensors = {
            name: torch.stack([torch.from_numpy(each[name]) for each in weights]).to(self.trained.device)
            for name in self.names
        }
        return self.trained.network.layout.pack(tensors)

    def again(self, points_RP: Tensor) -> Mapping[str, Tensor]:
        """Every other tensor of the model, with BatchNorm's statistics for these weights."""
        if not self.statistics:
            return self.ending
        return self.statistics.estimate(points_RP, self.ending, range(len(points_RP)))

    def predictions(self, points_RP: Tensor, others: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
        """For validation and test data, as a run stores them: logits (R, N, K), or (R, N) in the target's own units.

        Those for test are not compared with anything here.
        """
        return {
            split: np.stack([self.trained.outputs(*each, split) for each in self._each(points_RP, others)])
            for split in get_args(Split)
        }

    def scores(self, points_RP: Tensor, others: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
        """Validation loss, in the target's own units, and accuracy of each run, (R,)."""
        validation = Data.of(self.trained.data.validation, self.trained.device)
        objective = self.trained.objective(fused=False)
        each = [objective.scores(*point, validation)[1:] for point in self._each(points_RP, others)]
        loss_RN, accuracy_RN = (torch.cat(of_runs) for of_runs in zip(*each, strict=True))
        values = loss_RN.double().mean(1) * self.trained.unit, accuracy_RN.double().mean(1)
        return {name: of_R.cpu().numpy() for name, of_R in zip(self.metrics, values, strict=False)}

    @staticmethod
    def _each(points_RP: Tensor, others: Mapping[str, Tensor]) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        """Points one by one: an evaluation of several rounds otherwise than one of each."""
        for row in range(len(points_RP)):
            one = slice(row, row + 1)
            yield points_RP[one], {name: tensor[one] for name, tensor in others.items()}
