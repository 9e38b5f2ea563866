"""Small real studies, trained by the engine alone: what the tests of engine, launch and contracts share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from unittest import mock

import llvmlite.binding as llvm
import numpy as np
import torch

from ravine.data import Dataset, Examples, load, parse_data
from ravine.data.dataset import fingerprint
from ravine.engine.cohort import Cohort
from ravine.engine.network import Network
from ravine.engine.records import Arrays, Evaluation, Finished
from ravine.engine.training import Training
from ravine.launch.subject import in_phase_of, rates_of
from ravine.study import Run, Study, runs_of

CPU = torch.device("cpu")
NATIVE, FUSED, SERIAL, PLAIN = (
    "native",
    "fused",
    "serial",
    "eager",
)
RULES = ({"kind": "adam", "lr": [1e-2, 5e-2]}, {"kind": "momentum", "lr": [0.05, 0.2]})


@cache
def dataset(name: str = "iris") -> Dataset:
    return load(parse_data(name, "data"))


def made(
    x: np.ndarray, y: np.ndarray, num_classes: int, *, counts: tuple[int, int, int], name: str = "made"
) -> Dataset:
    """A data set of given arrays, cut where ``counts`` says."""
    cuts = np.cumsum(counts)
    splits = tuple(
        Examples(x=x[stop - count : stop].astype(np.float32), y=y[stop - count : stop])
        for stop, count in zip(cuts, counts, strict=True)
    )
    classes = tuple(str(i) for i in range(num_classes))
    return Dataset(
        name=name,
        task="classification",
        train=splits[0],
        validation=splits[1],
        test=splits[2],
        classes=classes,
        fingerprint=fingerprint("classification", splits, classes, 0.0, 1.0),
    )


def random_dataset(shape: tuple[int, ...], *, num_classes: int = 3, seed: int = 0, num: int = 80) -> Dataset:
    """Normal inputs whose class is that of the largest of a few linear functions."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(num, *shape))
    y = (x.reshape(num, -1) @ draw.normal(size=(int(np.prod(shape)), num_classes))).argmax(1)
    return made(x, y.astype(np.int64), num_classes, counts=(num // 2, num // 4, num - num // 2 - num // 4))


def study(**changes: object) -> Study:
    fields: dict[str, object] = {
        "name": "small",
        "data": dataset(),
        "model": {"kind": "mlp", "hidden": [16]},
        "rules": RULES,
        "steps": 20,
        "batch_size": 16,
        "seeds": 2,
        "evaluations": 4,
    }
    return Study(**{**fields, **changes})  # type: ignore[arg-type]


@contextmanager
def compiling() -> Iterator[list[str]]:
    """Within it, whatever LLVM is given to compile is noted."""
    texts: list[str] = []
    original = llvm.parse_assembly

    def noting(text: str, *more: object) -> object:
        texts.append(text)
        return original(text, *more)

    with mock.patch.object(llvm, "parse_assembly", noting):
        yield texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """All that a cohort's training told."""

    cohort: Cohort
    finished: Finished
    evaluations: tuple[Evaluation, ...]

    def weights(self, run: Run) -> Arrays:
        return {
            name: array[self.finished.runs.index(run.id)] for name, array in self.finished.weights.items()
        }

    def predictions(self, run: Run, split: str = "test") -> np.ndarray:
        return self.finished.predictions[split][self.finished.runs.index(run.id)]

    def metrics(self, run: Run) -> dict[str, float]:
        return {name: float(v[self.finished.runs.index(run.id)]) for name, v in self.finished.metrics.items()}

    def curve(self, run: Run, metric: str) -> list[tuple[int, float]]:
        return [
            (e.step, float(e.scores[metric][e.runs.index(run.id)]))
            for e in self.evaluations
            if run.id in e.runs
        ]


def network_of(study: Study, runs: Sequence[Run]) -> Network:
    assert isinstance(study.data, Dataset), "tests load their data first"
    network = Network.of(
        study.model,
        study.data.input_shape,
        study.data.num_outputs,
        device=CPU,
        rates=rates_of(runs),
        precision=runs[0].recipe.precision,
    )
    return in_phase_of(network, runs)


def training_of(
    study: Study,
    runs: Sequence[Run],
    backend: str = FUSED,
    start: tuple[int, Arrays] | None = None,
    *,
    repay_steps: int | None = None,
) -> Training:
    assert isinstance(study.data, Dataset), "tests load their data first"
    network = network_of(study, runs)
    return Training(
        Cohort.of(runs, study.averages), network, study.data, backend, CPU, start, repay_steps=repay_steps
    )


def trained_by(training: Training) -> Trained:
    """Train to the end."""
    records = list(training.records())
    assert isinstance(records[-1], Finished), "the last record is the end"
    return Trained(
        cohort=training.cohort,
        finished=records[-1],
        evaluations=tuple(record for record in records if isinstance(record, Evaluation)),
    )


def train(
    study: Study,
    runs: Sequence[Run] | None = None,
    backend: str = FUSED,
    *,
    repay_steps: int | None = None,
) -> Trained:
    some = all_runs(study) if runs is None else runs
    return trained_by(training_of(study, some, backend, repay_steps=repay_steps))


def all_runs(study: Study) -> list[Run]:
    assert isinstance(study.data, Dataset), "tests load their data first"
    return runs_of(study, study.data)


def with_lr(run: Run, lr: float) -> Run:
    return replace(run, recipe=replace(run.recipe, hypers={**run.recipe.hypers, "lr": lr}))


def same(left: Trained, right: Trained, run: Run) -> None:
    """Fails unless a run has the same bits in both: weights, predictions, curves."""
    assert (run.id in left.finished.diverged) == (run.id in right.finished.diverged), run.label
    if run.id in left.finished.diverged:
        assert left.finished.diverged[run.id] == right.finished.diverged[run.id], run.label
        return
    ours, theirs = left.weights(run), right.weights(run)
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=f"{run.label} {name}")
    for split in ("validation", "test"):
        np.testing.assert_array_equal(left.predictions(run, split), right.predictions(run, split))
    for metric in left.evaluations[0].scores:
        # not a number where an average of the weights has none yet
        ours_T, theirs_T = (np.array(each.curve(run, metric)) for each in (left, right))
        np.testing.assert_array_equal(ours_T, theirs_T, err_msg=f"{run.label} {metric}")


def distance(left: Trained, right: Trained, run: Run) -> float:
    """Largest difference of a weight, with the weights' largest as the unit."""
    ours, theirs = left.weights(run), right.weights(run)
    unit = max(float(np.abs(array).max(initial=0.0)) for array in ours.values())
    return max(float(np.abs(ours[name] - theirs[name]).max(initial=0.0)) for name in ours) / unit
