"""A study of several models: trained, added to, and used like any other; what mixes structures is refused in a line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine
from ravine.errors import InputError
from ravine.store import RunRecord, Store
from ravine.study import Study

FIRST = {"kind": "mlp", "hidden": [4]}
KEYS: dict[str, Any] = {
    "name": "several",
    "data": "iris",
    "steps": 12,
    "evaluations": 2,
    "seeds": 2,
    "keep": {"every": 4},
    "rules": [{"kind": "sgd", "lr": [0.05, 0.1]}],
}
SEVERAL = Study(**KEYS, model=[FIRST, {"kind": "mlp", "hidden": [8], "dropout": [0.0, 0.3]}], compare="model")
ALONE = "mlp hidden 4"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """First one model, then another added under the same name."""
    where: Path = tmp_path_factory.mktemp("models") / "runs"
    ravine.run(Study(**KEYS, model=FIRST), store=where, quiet=True)
    before = {run.id: run.seconds for run in Store(where).runs("several")}
    found = ravine.run(SEVERAL, store=where, quiet=True)
    after = {run.id: run.seconds for run in found.runs}
    assert len(after) == 12
    assert before.items() <= after.items()  # none of them is trained again
    return where


def runs_of(folder: Path, *, first: bool) -> list[RunRecord]:
    return [run for run in Store(folder).runs("several") if (run.hypers["model"] == ALONE) == first]


def test_each_model_is_trained_as_it_is_alone(folder: Path, tmp_path: Path) -> None:
    alone = Study(**{**KEYS, "name": "alone"}, model={"kind": "mlp", "hidden": [8], "dropout": [0.0, 0.3]})
    ravine.run(alone, store=tmp_path / "runs", quiet=True)
    second = runs_of(folder, first=False)
    stores = Store(folder), Store(tmp_path / "runs")
    assert {run.id for run in second} == {run.id for run in stores[1].runs("alone")}
    for run in second:
        ours, theirs = (store.tensors("weights", run.id) for store in stores)
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours | theirs)


def test_the_verdict_speaks_of_models(folder: Path) -> None:
    found = ravine.results("several", store=folder)
    assert found.noun == "model"
    assert set(found.rules) == {ALONE, "mlp hidden 8"}
    assert "compared at 2 each" in " ".join(found.warnings)  # the second has four configs


def test_runs_of_every_model_are_replayed_and_pooled(folder: Path) -> None:
    for first in (True, False):
        run = runs_of(folder, first=first)[0]
        assert ravine.replay(run.id, study=SEVERAL, store=folder, quiet=True).relative < 1e-4
    members = [runs_of(folder, first=first)[0].id for first in (True, False)]
    pooled = ravine.ensemble("several", members=members, store=folder, select="all")
    assert len(pooled.pool.weights) == 2
    along = [f"{run}@8" for run in members]
    assert len(ravine.ensemble("several", members=along, store=folder, select="all").pool.weights) == 2


def test_soups_and_landscapes_have_one_model(folder: Path) -> None:
    members = [runs_of(folder, first=first)[0].id for first in (True, False)]
    for look in (ravine.soup, ravine.landscape):
        with pytest.raises(InputError, match="have different models") as fault:
            look("several", runs=members, store=folder)
        assert "\n" not in str(fault.value)
    own = [run.id for run in runs_of(folder, first=False) if run.seed == 0][:2]
    assert ravine.soup("several", runs=own, store=folder).members


@pytest.mark.slow
def test_sharpness_is_measured_model_by_model(folder: Path) -> None:
    members = [runs_of(folder, first=first)[0].id for first in (True, False)]
    assert [each.run for each in ravine.sharpness("several", runs=members, store=folder, probes=2)] == members


@pytest.mark.slow
def test_what_predicts_is_the_model_of_its_run(folder: Path) -> None:
    """A network of another width could not have read the weights."""
    for first in (True, False):
        run = runs_of(folder, first=first)[0]
        found = ravine.predict("several", [[5.1, 3.5, 1.4, 0.2]], what=run.id, store=folder)
        assert len(found.predicted) == 1


def test_monte_carlo_of_a_model_without_random_layers_is_its_mean_pass(folder: Path) -> None:
    asked = replace(SEVERAL, test_time={"modes": ["mean", "mc"], "samples": 2, "judge": "mc"})
    by_mc = ravine.run(asked, store=folder, quiet=True)
    means = {rule.rule: rule.test for rule in ravine.run(SEVERAL, store=folder, quiet=True).verdict.rules}
    assert next(rule.test for rule in by_mc.verdict.rules if rule.rule == ALONE) == means[ALONE]


@pytest.mark.slow
def test_a_range_test_has_a_row_for_each_model() -> None:
    few = replace(SEVERAL, seeds=1)
    found = ravine.lr_range(few, num_steps=20, quiet=True)
    assert [each.rule for each in found] == [f"sgd, {label}" for label in (ALONE, "mlp hidden 8")]
