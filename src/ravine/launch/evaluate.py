"""Evaluates finished runs at test by the modes that a study asks for, and stores what they predict. Nothing is trained.

Shapes: R run, N example, S sample, V view of a picture, K output.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from ravine.data import Dataset
from ravine.engine.mixture import Mixture, of_classes, of_labels, of_values
from ravine.engine.native.scores import NativeScores
from ravine.engine.objective import Objective
from ravine.engine.passes import Points, Sampling
from ravine.engine.sampling import Samples
from ravine.engine.state import Data
from ravine.free_memory import memory_errors
from ravine.launch.checked import check_test_time
from ravine.launch.faults import module_errors
from ravine.launch.modes import lacking_modes
from ravine.launch.subject import Subject, by_structure, stored_run
from ravine.launch.trained import Trained
from ravine.messages import count
from ravine.native.tensors import Unsupported
from ravine.outcomes.trials import Split
from ravine.store import RunRecord, Store
from ravine.study import Study
from ravine.study.modes import Mode
from ravine.study.naming import naming
from ravine.study.views import View
from ravine.trace import Untraceable

_RUNS = (64, 8)  # of one structure that are evaluated, and stored, together; and where examples are pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluating:
    """How far it is.

    Args:
        done: evaluations of runs that are stored.
        all: how many there will be.
    """

    done: int
    all: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedAll:
    """The end.

    Args:
        seconds: that it took.
        lines: for people.
    """

    seconds: float
    lines: tuple[str, ...]


def evaluate(
    study: Study,
    store: Store,
    *,
    data: Dataset | None = None,
    search: Path | None = None,
    device: str = "auto",
) -> Iterator[Evaluating | EvaluatedAll]:
    """Evaluate the finished runs of a study that the store has no evaluations of yet.

    Args:
        study: the study.
        store: where its runs are, and their evaluations will be.
        data: its data set, where it has been read already.
        search: the study file's folder.
        device: "auto", "cpu", "cuda" or "mps".

    Yields:
        Progress, and the end.

    Raises:
        InputError: data or model are others than when the runs were trained, or a mode cannot be evaluated.
    """
    began = time.perf_counter()
    lines: list[str] = []
    if lacking_modes(study, store):
        with store.lock(study.name):
            yield from _all(study, store, data, search, device, lines)
    yield EvaluatedAll(seconds=time.perf_counter() - began, lines=tuple(lines))


def _all(
    study: Study, store: Store, data: Dataset | None, search: Path | None, device: str, lines: list[str]
) -> Iterator[Evaluating]:
    """Evaluate what is lacking, mode by mode; notes for people are added to the lines."""
    wanting = lacking_modes(study, store)
    num, done = sum(map(len, wanting.values())), 0
    yield Evaluating(done=0, all=num)
    subject = Subject.of(study, data=data, search=search, device=device)
    with naming(study.origin):
        subject.check_same(list({run.id: run for some in wanting.values() for run in some}.values()))
        check_test_time(study, subject, [stored_run(run) for run in store.runs(study.name)])
    for mode, some in wanting.items():
        backends: dict[str, None] = {}
        for group in _groups(subject, some, mode):
            with naming(study.origin), memory_errors("model", len(group)):
                backends |= _evaluate(subject, store, mode, group)
            done += len(group)
            yield Evaluating(done=done, all=num)
        by = " + ".join(backends)
        lines.append(f"test time: {count(len(some), 'run')}, {mode.words}, {by} on {subject.device.type}")


def _groups(subject: Subject, records: Sequence[RunRecord], mode: Mode) -> Iterator[list[RunRecord]]:
    """Runs of one structure, so many at once."""
    by_id = {record.id: record for record in records}
    for same in by_structure([stored_run(record) for record in records]):
        data = subject.data_of(same, whole=bool(mode.views))
        size = _RUNS[len(data.input_shape) > 1]
        for start in range(0, len(same), size):
            yield [by_id[run.id] for run in same[start : start + size]]


def _evaluate(subject: Subject, store: Store, mode: Mode, records: Sequence[RunRecord]) -> dict[str, None]:
    """Evaluate runs of one structure by one mode, and store it; returns what carried the passes."""
    runs = [stored_run(record) for record in records]
    whole = bool(mode.views)  # of pictures, and not of what a frozen part makes of them
    network, data = subject.network(runs, whole=whole), subject.data_of(runs, whole=whole)
    rates = network.rates([run.recipe.hypers for run in runs], subject.device)
    # Where no layer is random, one sample is all of them; where there is no such layer, it is the mean pass.
    random = [any(float(rate[row]) > 0.0 for rate in rates.values()) for row in range(len(runs))]
    none = Data(x=torch.empty(0), y=torch.empty(0))  # of training nothing is looked at
    trained = Trained(
        store=store, data=data, network=network, device=subject.device, train=none, unit=data.loss_unit
    )
    used: dict[str, None] = {}
    for draws in sorted(set(random)):
        rows = [row for row, each in enumerate(random) if each == draws]
        own = mode if draws or not mode.samples else replace(mode, samples=min(1, len(network.layers)))
        params_RP, others = trained.weights([runs[row].id for row in rows])
        points = Points(
            params_RP=params_RP,
            others=others,
            rates={name: rate[rows] for name, rate in rates.items()},
            seeds=tuple(runs[row].seed for row in rows),
        )
        passes = Passes(trained.objective(fused=False), points, own)
        with module_errors(network.module, network.about):
            found = {
                name: array
                for split in get_args(Split)
                for name, array in of_split(passes, data, split, mode).items()
            }
        store.evaluated.add(mode.id, mode.content, [runs[row].id for row in rows], found)
        used[passes.backend] = None
    return used


def of_split(passes: Passes, data: Dataset, split: Split, mode: Mode) -> dict[str, np.ndarray]:
    """What is stored of a split: predictions and how passes differ, and of validation scores by number of samples."""
    examples = data.validation if split == "validation" else data.test
    num_runs, num = len(passes.points), len(examples)
    answers = torch.from_numpy(np.array(data.in_own_units(examples.y)))
    dtype = np.float64 if passes.objective.network.dtype == torch.float64 else np.float32
    several = (data.num_outputs,) if data.num_outputs > 1 else ()
    predicted = np.empty((num_runs, num, *several), dtype=dtype)
    within = np.empty((num_runs, num, *(several if data.task == "regression" else ())), dtype=dtype)
    sums: list[dict[str, Tensor]] = [{} for _ in range(num_runs)]
    for part, outputs_RNSVK in passes(examples.x):
        known = answers[part] if split == "validation" else None
        for row, outputs_NSVK in enumerate(outputs_RNSVK):
            found = _together(data, outputs_NSVK, known)
            predicted[row, part], within[row, part] = found.predicted_NK.numpy(), found.within_N.numpy()
            for name, values_S in found.sums.items():
                sums[row][name] = sums[row].get(name, torch.zeros(())) + values_S
    means = {name: np.stack([each[name].numpy() for each in sums]) / num for name in sums[0]}
    scores = {
        f"validation_{name}": np.broadcast_to(mean_RS, (num_runs, max(1, mode.samples)))
        for name, mean_RS in means.items()
    }
    return {split: predicted, f"{split}_within": within, **scores}


def _together(data: Dataset, outputs_NSVK: Tensor, answers: Tensor | None) -> Mixture:
    """What passes predict together."""
    if data.task == "classification":
        return of_classes(outputs_NSVK, answers)
    if data.task == "multilabel":
        return of_labels(outputs_NSVK, answers)
    values = torch.from_numpy(data.predictions(outputs_NSVK.numpy()))
    return of_values(values, answers, data.target_scale)


class Passes:
    """All passes of a mode.

    Args:
        objective: of the runs.
        points: the runs.
        mode: which passes.

    Attributes:
        backend: what carries them.
    """

    def __init__(self, objective: Objective, points: Points, mode: Mode) -> None:
        self.objective, self.points, self._mode = objective, points, mode
        self._samples: Samples | None = None
        self._scores: NativeScores | None = None
        if mode.samples:
            sampling = Sampling(samples=mode.samples, draw=mode.draw)
            self._samples = Samples(objective, points, sampling)
        elif points.params_RP.device.type == "cpu":
            self._scores = NativeScores(objective, points.params_RP, {**points.others, **points.rates})

    @property
    def backend(self) -> str:
        """What carries them."""
        if self._samples is not None:
            return self._samples.backend
        return "serial" if self._scores is None else "native"

    def __call__(self, x: np.ndarray) -> Iterator[tuple[slice, Tensor]]:
        """Outputs of all passes, part by part: which examples, and (R, n, S, V, K) on the CPU."""
        views = self._mode.views or (View(),)
        device = self.points.params_RP.device
        each = [torch.tensor(view.of(x), device=device) for view in views]
        if self._samples is None:
            found = torch.stack([self._mean(view) for view in each], 2)
            yield slice(0, len(x)), found[:, :, None]
            return
        for parts in zip(*map(self._samples, each), strict=True):
            yield parts[0][0], torch.stack([outputs for _, outputs in parts], 3)

    def _mean(self, x: Tensor) -> Tensor:
        """Outputs of the mean pass, (R, N, K)."""
        points = self.points
        given = {**points.others, **points.rates}
        loss, width = self.objective.loss, self.objective.network.num_outputs
        split = Data(x=x, y=loss.no_answers(len(x), width, x.device))  # nothing is scored by it
        if self._scores is not None:
            try:
                return self._scores(split)[0]
            except (Unsupported, Untraceable):
                self._scores = None
        rows = [points.row(row) for row in range(len(points))]
        outputs = [
            self.objective.scores(
                row.params_RP, {name: tensor[at : at + 1] for name, tensor in given.items()}, split
            )[0]
            for at, row in enumerate(rows)
        ]
        return torch.cat(outputs).cpu()
