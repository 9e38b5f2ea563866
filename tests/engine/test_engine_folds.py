"""Runs of all folds as one cohort: each has the bits that it has alone, and its own scales over shared inputs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from engine_runs import CPU, FUSED, NATIVE, PLAIN, SERIAL, Trained, network_of, same, study, trained_by
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ravine.data import Dataset, from_arrays
from ravine.data.deal_folds import FoldOf
from ravine.data.rescaling import Rescaling
from ravine.engine import batches
from ravine.engine.batches import Order, Orders
from ravine.engine.cohort import Cohort
from ravine.engine.objective import rescaled
from ravine.engine.programs import NativeProgram
from ravine.engine.training import Training
from ravine.study import Run, Study, runs_of

NUM = 98  # so that folds, and their parts, are of different sizes
RNG = np.random.default_rng(0)
X = RNG.standard_normal((NUM, 5)) * [1.0, 5.0, 1e-3, 100.0, 1.0] + [0.0, 0.0, 1.0, 1e6, 0.0]
Y = (X[:, 0] + RNG.standard_normal(NUM) > 0).astype(np.int64)
VALUES = X[:, 0] * 30.0 + 500.0 + RNG.standard_normal(NUM)


def arrays(**options: Any) -> Dataset:
    return from_arrays(X, Y, split={"folds": 4, "repeats": 2}, **options)


def regression() -> Dataset:
    return from_arrays(X, VALUES, task="regression", split={"folds": 4})


def pictures() -> Dataset:
    pixels = RNG.integers(0, 256, (60, 1, 8, 8), dtype=np.uint8)
    return from_arrays(pixels, np.arange(60) % 3, split={"folds": 3})


def table() -> Dataset:
    """With empty cells, and a level that only one row has."""
    frame = pd.DataFrame({"size": X[:, 3], "kind": ["rare", *["ab"[i % 2] for i in range(1, NUM)]]})
    frame.loc[[3, 40, 41, 77], "size"] = np.nan
    return from_arrays(frame, Y, missing="impute", split={"folds": 4})


def fold_study(data: Dataset, **changes: Any) -> Study:
    given = {
        "data": data,
        "model": {"kind": "mlp", "hidden": [6]},
        "steps": 10,
        "batch_size": 16,
        "evaluations": 2,
        "rules": [{"kind": "adam", "lr": [0.01, 0.05]}],
    }
    return study(**{**given, **changes})


def all_runs(made: Study) -> list[Run]:
    assert isinstance(made.data, Dataset), "tests load their data first"
    return runs_of(made, made.data)


def train(made: Study, runs: list[Run], backend: str) -> Trained:
    assert isinstance(made.data, Dataset), "tests load their data first"
    cohort = Cohort.of(runs)
    return trained_by(Training(cohort, network_of(made, runs), made.data, backend, CPU))


def of_fold(runs: list[Run], part: FoldOf) -> list[Run]:
    return [run for run in runs if run.recipe.part == part.content()]


STUDIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "classes": (arrays, {}),
    "numbers": (regression, {}),
    "empty cells": (table, {}),
    "pictures": (pictures, {"model": {"kind": "convnet", "channels": [4]}}),
    "full batch": (regression, {"batch_size": "full", "rules": [{"kind": "lbfgs", "lr": [0.5, 1.0]}]}),
    "searching": (arrays, {"rules": [{"kind": "bfgs", "lr": [0.5, 1.0]}]}),
    "huber": (regression, {"loss": {"kind": "huber", "delta": [5.0, 20.0]}}),
    "balanced": (arrays, {"loss": {"kind": "cross_entropy", "class_weights": "balanced"}}),
    "sam": (arrays, {"rules": [{"kind": "sgd", "lr": [0.1], "sam_radius": 0.05}]}),
    "stops": (arrays, {"stop": {"patience": 1}, "evaluations": 5}),
    "float64": (arrays, {"precision": "float64"}),
    "groups": (lambda: arrays(groups=np.arange(NUM) // 3 % 17), {}),
    "own weights": (lambda: arrays(weights=RNG.uniform(0.5, 2.0, NUM)), {}),
}


@pytest.mark.parametrize(
    ("name", "backend"),
    [(name, way) for name in STUDIES for way in (NATIVE, FUSED) if (name, way) != ("float64", NATIVE)],
)
def test_a_run_beside_those_of_other_folds_has_the_bits_of_its_fold_alone(name: str, backend: str) -> None:
    make, changes = STUDIES[name]
    made = fold_study(make(), **changes)
    assert isinstance(made.data, Dataset), "tests load their data first"
    assert made.data.folds is not None
    runs = all_runs(made)
    together = train(made, runs, backend)
    assert len(together.cohort.runs) == len(runs)
    for part in [*made.data.folds.sizes][:3]:
        own = of_fold(runs, part)
        alone = train(made, own, backend)
        for run in own:
            _same(together, alone, run, len(made.data.folds.of(part).validation))


def _same(together: Trained, alone: Trained, run: Run, num: int) -> None:
    """As `engine_runs.same`; predictions of a longer fold leave room behind those of a shorter one."""
    found = {
        name: values[:, : alone.finished.predictions[name].shape[1]]
        for name, values in together.finished.predictions.items()
    }
    if together.finished.lengths:
        row = together.finished.runs.index(run.id)
        assert together.finished.lengths["validation"][row] == num
    assert alone.finished.predictions["validation"].shape[1] == num
    same(replace(together, finished=replace(together.finished, predictions=found)), alone, run)


@pytest.mark.parametrize("name", ["classes", "numbers", "empty cells", "pictures"])
def test_backends_agree_on_a_run_of_a_fold(name: str) -> None:
    """One run after another has cohorts of one run, so no neighbours; it must be the same network all the same."""
    make, changes = STUDIES[name]
    made = fold_study(make(), **changes)
    run = all_runs(made)[-1]
    expected = train(made, [run], PLAIN).weights(run)
    for backend in (SERIAL, NATIVE, FUSED):
        for tensor, found in train(made, [run], backend).weights(run).items():
            np.testing.assert_allclose(found, expected[tensor], rtol=1e-3, atol=1e-5)


CONSTANT = np.full((NUM, 1), 3.0)
OUTLIER = np.where(np.arange(NUM) == 7, 1e9, X[:, 0])[:, None]


@pytest.mark.parametrize("raw", [X, CONSTANT, OUTLIER], ids=["means far from 0", "constant", "outlier"])
def test_a_fold_is_scaled_as_by_scikit_learn(raw: np.ndarray) -> None:
    data = from_arrays(raw, Y, split={"folds": 4, "repeats": 2})
    assert data.folds is not None
    for part in data.folds.sizes:
        own = data.folds.of(part)
        scaler = StandardScaler().fit(raw[own.train.at])
        for split in (own.train, own.validation, own.test):
            expected = scaler.transform(raw[split.at])
            np.testing.assert_allclose(split.some(slice(None)), expected, rtol=1e-6, atol=1e-6)


def test_empty_cells_and_levels_of_a_fold_are_as_by_scikit_learn() -> None:
    data = table()
    assert data.folds is not None
    raw = X[:, [3]].copy()
    raw[[3, 40, 41, 77]] = np.nan
    filled = []
    for part in data.folds.sizes:
        own = data.folds.of(part)
        at = own.train.at
        pipeline = make_pipeline(SimpleImputer(), StandardScaler()).fit(raw[at])
        filled.append(pipeline[0].statistics_[0])
        for split in (own.train, own.validation, own.test):
            found = split.some(slice(None))
            np.testing.assert_allclose(found[:, :1], pipeline.transform(raw[split.at]), rtol=1e-6, atol=1e-6)
            rare = split.at == 0
            seen = 0 in at
            assert found[rare, own.features.index("kind=rare")].tolist() == [float(seen)] * int(rare.sum())
            others = found[:, [own.features.index("kind=a"), own.features.index("kind=b")]]
            np.testing.assert_array_equal(others.sum(axis=1), ~rare)
    assert len(set(filled)) > 1


def test_inputs_lie_in_memory_once() -> None:
    made = fold_study(arrays())
    assert isinstance(made.data, Dataset), "tests load their data first"
    assert made.data.folds is not None
    sets = [made.data.folds.of(part) for part in made.data.folds.sizes]
    kept = made.data.train.kept
    assert kept.shape == X.shape
    assert all(
        getattr(each, split).kept is kept for each in sets for split in ("train", "validation", "test")
    )
    runs = all_runs(made)
    training = Training(Cohort.of(runs), network_of(made, runs), made.data, NATIVE, CPU)
    assert training.setting.data.x.data_ptr() == kept.ctypes.data
    assert len(training.setting.data.y) == NUM  # classes are the same in all folds
    assert training.setting.constants.of_set["shift"].shape == (len(runs), X.shape[1])


def test_a_batch_is_scaled_with_the_bits_of_the_data_set() -> None:
    for data in (arrays(), table(), pictures()):
        assert data.folds is not None
        own = data.folds.of(FoldOf(fold=1, repeat=0))
        of = own.train.scaling
        assert isinstance(of, Rescaling)
        tensors = {"shift": of.shift, "factor": of.factor, **({} if of.fill is None else {"fill": of.fill})}
        x = torch.from_numpy(own.train.kept[own.train.at].astype(np.float32))
        found = rescaled(x, {name: torch.from_numpy(each) for name, each in tensors.items()})
        np.testing.assert_array_equal(found.numpy(), own.train.some(slice(None)))


@pytest.mark.parametrize("backend", [NATIVE, FUSED])
def test_a_cohort_of_folds_goes_on_from_a_snapshot_with_the_same_bits(backend: str) -> None:
    made = fold_study(regression(), steps=14)
    assert isinstance(made.data, Dataset), "tests load their data first"
    runs = all_runs(made)
    whole = train(made, runs, backend)
    cohort, network = Cohort.of(runs), network_of(made, runs)
    first = Training(cohort, network, made.data, backend, CPU)
    while first.step < 5:
        first.advance()
    start = (first.step, first.snapshot())
    after = trained_by(Training(cohort, network, made.data, backend, CPU, start))
    for run in runs:
        for name, tensor in whole.weights(run).items():
            np.testing.assert_array_equal(after.weights(run)[name], tensor)


@pytest.mark.parametrize(("hidden", "batch_size"), [([], 33), ([], 66), ([5], 66)])
def test_runs_of_a_fold_and_seed_share_the_products_of_a_batch_with_the_same_bits(
    hidden: list[int], batch_size: int
) -> None:
    wide = RNG.standard_normal((180, 320)) * 3.0 + 5.0
    wide[::7, ::3] = np.nan
    frame = pd.DataFrame(wide, columns=[f"x{i}" for i in range(320)])
    data = from_arrays(frame, np.arange(180) % 3, missing="impute", split={"folds": 3})
    rules = [{"kind": "adam", "lr": [0.001, 0.01]}]
    model = {"kind": "mlp", "hidden": hidden}
    made = fold_study(data, model=model, batch_size=batch_size, rules=rules, steps=6)
    runs = all_runs(made)
    cohort, network = Cohort.of(runs), network_of(made, runs)
    training = Training(cohort, network, data, NATIVE, CPU)
    assert isinstance(training._program, NativeProgram)
    assert training._program._steps._shared is not None
    together = trained_by(training)
    for run in runs[::5]:
        alone = train(made, [run], NATIVE)
        _same(together, alone, run, alone.finished.predictions["validation"].shape[1])


def test_each_seed_and_fold_has_the_order_that_it_has_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_AT_A_TIME", 3 * 4 * 5)  # of 3 steps
    places = [torch.randperm(90)[:num] for num in (23, 40)]
    alone = [Order((3, 1), len(each), 5, CPU) for each in places]
    together = Orders([Order((3, 1), len(each), 5, CPU, places=each) for each in places])
    step = 0
    while step < 20:
        rows_TSB = together.rows(step)
        assert rows_TSB.dtype == torch.int64
        assert rows_TSB.shape[1:] == (4, 5)
        assert len(rows_TSB) <= 3
        for found_SB in rows_TSB:
            expected = [of[order.rows(step)[0]] for of, order in zip(places, alone, strict=True)]
            assert torch.equal(found_SB, torch.cat(expected))
            step += 1


def test_all_folds_learn_from_equally_many() -> None:
    for data in (arrays(), regression(), table()):
        assert data.folds is not None
        sizes = list(data.folds.sizes.values())
        assert len({num for num, *_ in sizes}) == 1
        assert len({num for *_, num in sizes}) == 2
        assert all(sum(each) == NUM for each in sizes)
