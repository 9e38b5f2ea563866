"""`averages` in a launch: what the store has of them, whoever trains and whatever interrupts it."""

from __future__ import annotations

import shutil
from collections import namedtuple
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_runs import all_runs, network_of, study
from launches import contents, run_all, until

from ravine.errors import StoreError, StudyError
from ravine.launch.launch import launch
from ravine.launch.problems import problems
from ravine.launch.progress import Planned
from ravine.launch.room import AveragesRoom
from ravine.launch.writer import Timing
from ravine.store import Store
from ravine.study import Study
from ravine.study.averages import Averages
from thinning import thinned

AVERAGES: dict[str, Any] = {"ema": [0.5, 0.9], "polyak": {"from": 0.5}, "bank": {"steps": 5}}
NORMED = {"kind": "mlp", "hidden": [6], "norm": "batch"}
AT_ONCE = Timing(tick_seconds=0.0, checkpoint_seconds=0.0, checkpoint_share=1.0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def own_of(root: Path, made: Study) -> dict[str, list[bytes]]:
    """Of each run the bits of its own weights, predictions and curves."""
    found = {}
    with Store(root) as store:
        for run in all_runs(made):
            tensors = {kind: store.tensors(kind, run.id) for kind in ("weights", "predictions")}
            arrays = [array for each in tensors.values() for _, array in sorted(each.items())]
            for metric in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"):
                arrays += store.curves([run.id], metric)[run.id]
            found[run.id] = [array.tobytes() for array in arrays]
    return found


def test_the_same_runs_with_the_same_bits_as_without_averages(tmp_path: Path) -> None:
    made = study(model=NORMED)
    for name, averages in (("with", AVERAGES), ("without", None)):
        with Store(tmp_path / name) as store:
            run_all(replace(made, averages=averages), store)
    assert own_of(tmp_path / "with", made) == own_of(tmp_path / "without", made)


def test_the_store_has_weights_predictions_scores_and_curves_of_each_average(store: Store) -> None:
    made = study(averages=AVERAGES, model=NORMED)
    run_all(made, store)
    assert store.check() == []
    ids = [run.id for run in all_runs(made)]
    names = ("ema 0.5", "ema 0.9", "polyak")
    assert store.averages.names(ids) == dict.fromkeys(ids, names)
    own, scores = store.tensors("weights", ids[0]), store.run(ids[0]).metrics
    for name in names:
        weights = store.tensors(f"{name}/weights", ids[0])
        assert {key: array.shape for key, array in weights.items()} == {k: a.shape for k, a in own.items()}
        assert any(not np.array_equal(array, own[key]) for key, array in weights.items())
        predictions = store.tensors(f"{name}/predictions", ids[0])
        right = store.labels.of(store.study("small").data_fingerprint).validation
        accuracy = (predictions["validation"].argmax(1) == right).mean()
        assert scores[f"{name}/validation_accuracy"] == pytest.approx(accuracy)
        steps, values = store.curves([ids[0]], f"{name}/validation_loss")[ids[0]]
        assert steps.tolist() == [5, 10, 15, 20]
        assert np.isnan(values).tolist() == ([True, True, False, False] if name == "polyak" else [False] * 4)
    with pytest.raises(StoreError, match="has no swa/weights: it is done"):
        store.tensors("swa/weights", ids[0])
    with pytest.raises(StoreError, match=r"tensors 'ema 0\.5/gradients'"):
        store.tensors("ema 0.5/gradients", ids[0])
    assert store.delete_study("small") == len(ids)
    assert not list((store.folder / "blocks").iterdir())


@pytest.mark.parametrize(
    ("backend", "events", "batchnorm"),
    thinned(product(["native", "fused"], [2, 4, 7], ["again", "average"]), strength=1),
)
def test_an_interrupted_launch_ends_with_the_averages_of_another(
    tmp_path: Path, backend: str, events: int, batchnorm: str
) -> None:
    averages = {**AVERAGES, "batchnorm": batchnorm}
    made = study(model=NORMED, averages=averages, rules=[{"kind": "nesterov", "lr": [0.1, 1e20]}])
    with Store(tmp_path / "peace") as store:
        run_all(made, store, backend=backend, timing=AT_ONCE)
    with Store(tmp_path / "stopped") as store:
        until(launch(made, store, definition="text", backend=backend, timing=AT_ONCE), events)
        run_all(made, store)
        assert store.check() == []
    assert contents(tmp_path / "stopped", "small") == contents(tmp_path / "peace", "small")


def lines_of(made: Study, store: Store) -> list[str]:
    events = run_all(made, store)
    return [line for event in events if isinstance(event, Planned) for line in event.lines]


def test_a_run_goes_on_with_the_averages_that_it_began_with(store: Store) -> None:
    made = study(averages=AVERAGES, rules=[{"kind": "sgd", "lr": 0.1}])
    until(launch(made, store, definition="text", timing=AT_ONCE), 4)
    ids = [run.id for run in all_runs(made)]
    assert store.cohorts(unfinished_for=ids)[0].checkpoint
    lines = lines_of(replace(made, averages={"ema": 0.25}), store)
    assert any("with the averages that they began with" in line for line in lines)
    assert store.averages.names(ids)[ids[0]] == ("ema 0.5", "ema 0.9", "polyak")


def test_a_run_that_was_only_planned_takes_the_averages_of_now(store: Store) -> None:
    made = study(rules=[{"kind": "sgd", "lr": 0.1}])
    until(launch(made, store, definition="text"), 1)
    ids = [run.id for run in all_runs(made)]
    assert not store.cohorts(unfinished_for=ids)[0].checkpoint
    run_all(replace(made, averages={"ema": 0.25}), store)
    assert store.averages.names(ids)[ids[0]] == ("ema 0.25",)


def test_the_plan_says_what_is_averaged_and_what_cannot_be_any_more(store: Store) -> None:
    made = study()
    assert not any("average" in line for line in lines_of(made, store))
    more = replace(made, averages=AVERAGES, seeds=[0, 1, 2])
    lines = lines_of(more, store)
    assert any(
        line.startswith("averages of the weights: ema 0.5, ema 0.9, polyak; each takes") for line in lines
    )
    assert any(
        line.startswith("bank: 3 averages at 5 steps, 15 vectors a run: ") and line.endswith(" for 4 runs")
        for line in lines
    )
    known = (
        "8 runs that the store has already were trained without some of these averages, and none are trained again; "
        "--again-for averages makes up for it at each rule's best config"
    )
    assert known in lines
    again = lines_of(more, store)
    assert known in again  # also where nothing is left to train


def test_the_room_of_a_bank_is_the_size_of_its_files(store: Store) -> None:
    made = study(averages={"bank": True}, model=NORMED)
    run_all(made, store, timing=Timing(kept_bytes=1 << 30))
    written = sum(path.stat().st_size for path in (store.folder / "blocks").glob("bank-*"))
    runs = all_runs(made)
    room = AveragesRoom.of(Averages(bank=20), runs, lambda some: network_of(made, list(some)))
    assert room.steps == 20
    assert room.bank <= written < room.bank + 3000  # the header with the names
    assert store.bank.steps([runs[0].id]) == {runs[0].id: list(range(1, 21))}


def test_a_bank_that_does_not_fit_is_refused_before_training(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1 << 30, 1 << 30, 1000))
    with pytest.raises(
        StudyError, match=r"averages\.bank: the averages of 8 runs take .* free where the store is"
    ):
        run_all(study(averages={"bank": True}), store)
    assert store.studies() == []


def test_runs_without_cycles_have_no_average_over_cycles(store: Store) -> None:
    schedules = ["constant", {"kind": "cosine_restarts", "cycles": 2}]
    made = study(schedule=schedules, averages={"ema": 0.5, "swa": {"from": 0.4, "every": "cycle"}}, seeds=1)
    lines = lines_of(made, store)
    assert "swa: 4 runs without cycles have no such average" in lines
    found = store.averages.names([run.id for run in all_runs(made)])
    assert sorted(found.values()) == [("ema 0.5",)] * 4 + [("ema 0.5", "swa")] * 4
    assert store.check() == []
    assert not any("already" in line for line in lines_of(made, store))


def test_an_average_that_no_run_reaches_is_refused(store: Store) -> None:
    made = study(averages={"swa": {"from": 0.5, "every": 7}})
    message = (
        r"averages\.swa\.every = 7: no run has an end of so many epochs after from = 0\.5: the longest is 4"
    )
    with pytest.raises(StudyError, match=message):
        run_all(made, store)
    assert store.studies() == []
    content = {
        "name": "s", "data": "iris", "model": "mlp", "epochs": 3, "averages": {"swa": {"every": 4}},
        "rules": [{"kind": "adam"}],
    }  # fmt: skip
    assert [str(problem).partition(":")[0] for problem in problems(content)] == ["averages.swa.every = 4"]
