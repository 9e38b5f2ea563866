"""Launches: what is trained, what is kept, what goes on, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from engine_runs import NATIVE, all_runs, dataset, study, train
from launches import contents, run_all, until
from torch import nn

from ravine.data import from_arrays
from ravine.engine import training as training_module
from ravine.errors import StoreError
from ravine.launch.launch import launch
from ravine.launch.progress import Planned, Progress, Trained
from ravine.launch.replay import Replayed, replay
from ravine.launch.writer import Timing
from ravine.outcomes import Results
from ravine.store import Store
from ravine.study import Study

ALWAYS = Timing(  # a record and a checkpoint after every step
    tick_seconds=0.0, checkpoint_seconds=0.0, checkpoint_share=1e3
)
TWO_STRUCTURES = {"batch_size": [16, 30], "steps": 12, "evaluations": 4}
FEW = [{"kind": "adam", "lr": [1e-2, 5e-2]}]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def test_what_a_launch_leaves_is_what_the_engine_told(store: Store) -> None:
    made = study(dropout=[0.0, 0.2])
    events = run_all(made, store, command="ravine run x.toml")
    told = train(made, backend=NATIVE)
    records = {record.id: record for record in store.runs("small")}
    assert list(records) == [run.id for run in all_runs(made)]
    for run in all_runs(made):
        record = records[run.id]
        assert (record.status, record.step, record.num_steps) == ("done", 20, 20)
        assert record.metrics == pytest.approx(told.metrics(run), rel=1e-6)
        assert record.backend == "native on cpu"
        assert record.seconds is not None
        assert record.seconds > 0
        stored = store.tensors("weights", run.id)
        for name, array in told.weights(run).items():
            np.testing.assert_array_equal(stored[name], array)
        np.testing.assert_array_equal(store.tensors("predictions", run.id)["test"], told.predictions(run))
        for metric in ("train_loss", "validation_accuracy"):
            steps, values = store.curves([run.id], metric)[run.id]
            assert list(zip(steps.tolist(), values.tolist(), strict=True)) == told.curve(run, metric)
    kept = store.study("small").launches
    assert len(kept) == 1
    assert kept[0].command == "ravine run x.toml"
    assert kept[0].seconds is not None
    assert "16 runs at once, native on cpu" in kept[0].plan
    assert isinstance(events[-1], Trained)
    assert events[-1].num_trained == len(records)
    assert store.cohorts(unfinished_for=list(records)) == []
    assert store.check() == []


def test_finished_runs_are_never_trained_again(store: Store) -> None:
    first = run_all(study(seeds=1), store)
    assert first[0] == Planned(num_runs=4, num_known=0, num_resumed=0, lines=first[0].lines)  # type: ignore[union-attr]
    before = contents(Path(store.root), "small")
    again = run_all(study(seeds=1), store)
    assert (again[0].num_known, again[-1].num_trained) == (4, 0)  # type: ignore[union-attr]
    more_seeds = run_all(study(seeds=2), store)
    assert (more_seeds[0].num_known, more_seeds[-1].num_trained) == (4, 4)  # type: ignore[union-attr]
    rules = [
        {"kind": "adam", "lr": [1e-2, 2e-2, 5e-2]},
        {"kind": "momentum", "lr": [0.05, 0.2]},
        {"kind": "sgd", "lr": 0.1},
    ]
    more = run_all(study(seeds=2, rules=rules), store)
    assert (more[0].num_known, more[-1].num_trained) == (8, 4)  # type: ignore[union-attr]
    after = contents(Path(store.root), "small")
    assert {run: after[run] for run in before} == before
    assert len(after) == 12


def test_runs_added_later_are_those_of_a_study_declared_at_once(store: Store, tmp_path: Path) -> None:
    run_all(study(seeds=1), store)
    run_all(study(seeds=3), store)
    with Store(tmp_path / "other") as other:
        run_all(study(seeds=3), other)
    assert contents(Path(store.root), "small") == contents(tmp_path / "other", "small")


def test_a_changed_definition_is_refused_in_one_line(store: Store) -> None:
    run_all(study(), store)
    before = contents(Path(store.root), "small")
    with pytest.raises(StoreError) as refused:
        run_all(study(steps=21), store)
    assert "\n" not in str(refused.value)
    assert "small" in str(refused.value)
    assert contents(Path(store.root), "small") == before


def test_what_was_done_with_the_data_is_kept_and_told(store: Store, tmp_path: Path) -> None:
    rows = [f"{i * i / 2},{'red' if i % 2 else 'blue'},{i % 2}" for i in range(60)]
    rows[9] = ",red,1"
    (tmp_path / "x.csv").write_text("\n".join(["size,colour,y", *rows]) + "\n")
    csv = {"kind": "csv", "path": str(tmp_path / "x.csv"), "target": "y", "missing": "drop"}
    run_all(study(data=csv, batch_size="auto"), store)
    results = Results.load(store, "small")
    assert results.study.notes == (
        "1 of 60 rows, with an empty cell, was dropped",
        "column 'colour': one column for each of its 2 levels",
        "batch_size: 35, all training examples: the default, 64, is more than that",
    )
    assert {run.recipe["batch_size"] for run in results.runs} == {35}
    assert results.json()["notes"] == list(results.study.notes)


def test_a_study_of_which_64_examples_are_a_batch_has_no_note_of_it(store: Store) -> None:
    run_all(study(batch_size="auto", steps=3), store)
    assert not any("batch_size" in note for note in store.study("small").notes)
    assert {run.recipe["batch_size"] for run in store.runs("small")} == {64}
    run_all(study(batch_size=64, steps=3), store)  # the same study


def test_two_launches_at_once_are_refused_in_one_line(store: Store) -> None:
    events = launch(study(), store, definition="")
    next(events)
    with (
        Store(store.root) as second,
        pytest.raises(StoreError, match=r"^study 'small' is being run by process \d+"),
    ):
        next(launch(study(), second, definition=""))
    events.close()  # type: ignore[attr-defined]
    assert run_all(study(), store)[-1].num_trained == 8  # type: ignore[union-attr]


def test_runs_that_are_being_trained_for_another_study_are_left_alone(store: Store) -> None:
    events = launch(study(), store, definition="")
    next(events)
    shared = r"^study 'other' shares runs with study 'small', which is being run by process \d+"
    with Store(store.root) as second:
        for backend in ("auto", "serial"):
            with pytest.raises(StoreError, match=shared):
                next(launch(study(name="other"), second, definition="", backend=backend))
        apart = run_all(study(name="apart", seeds=[7]), second)[-1]
    assert apart.num_trained > 0  # type: ignore[union-attr]
    events.close()  # type: ignore[attr-defined]
    assert run_all(study(), store)[-1].num_trained == 8  # type: ignore[union-attr]
    assert run_all(study(name="other"), store)[-1].num_trained == 0  # type: ignore[union-attr]


SLOW = [pytest.param(backend, marks=pytest.mark.slow) for backend in ("fused", "serial")]


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("backend", ["native", *SLOW])
def test_closing_it_at_any_moment_changes_nothing_in_the_end(
    backend: str, every: bool, tmp_path: Path
) -> None:
    made = study(**TWO_STRUCTURES, rules=FEW, seeds=1, model={"kind": "mlp", "hidden": [7], "norm": "batch"})
    with Store(tmp_path / "whole") as whole:
        num_events = len(run_all(made, whole, backend=backend, timing=ALWAYS))
    expected = contents(tmp_path / "whole", "small")
    some = (1, num_events - 2) if backend == "native" else (num_events // 3,)
    for moment in range(1, num_events) if every else some:
        root = tmp_path / f"{moment}"
        with Store(root) as store:
            until(launch(made, store, definition="", backend=backend, timing=ALWAYS), moment)
        with Store(root) as store:
            until(launch(made, store, definition="", backend=backend, timing=ALWAYS), 4)
        with Store(root) as store:
            events = run_all(made, store, backend=backend, timing=ALWAYS)
            assert isinstance(events[-1], Trained)
        assert contents(root, "small") == expected, moment


def test_an_interrupt_amid_a_step_goes_back_to_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = study(**TWO_STRUCTURES, rules=FEW, seeds=1)
    with Store(tmp_path / "whole") as whole:
        run_all(made, whole, backend="fused", timing=ALWAYS)
    expected = contents(tmp_path / "whole", "small")
    plain = training_module.Training.advance
    for stop in (1, 7, 13):
        left = [stop]

        def interrupted(self: training_module.Training, most: int = 1, left: list[int] = left) -> int:
            left[0] -= 1
            num = plain(self, most)
            if left[0] == 0:
                self.whole = False
                raise KeyboardInterrupt
            return num

        monkeypatch.setattr(training_module.Training, "advance", interrupted)
        with Store(tmp_path / f"{stop}") as store:
            with pytest.raises(KeyboardInterrupt):
                run_all(made, store, backend="fused", timing=ALWAYS)
            monkeypatch.setattr(training_module.Training, "advance", plain)
            events = run_all(made, store, backend="fused", timing=ALWAYS)
            assert (events[0].num_resumed > 0) == (stop not in (1, 13)), stop  # type: ignore[union-attr]
        assert contents(tmp_path / f"{stop}", "small") == expected


@pytest.mark.parametrize(("share", "written"), [(1e3, True), (1e-6, False)])
def test_the_first_checkpoint_too_waits_until_its_time_is_a_small_share(
    share: float, written: bool, store: Store
) -> None:
    made = study(seeds=1, rules=FEW)
    events = launch(made, store, definition="", timing=replace(ALWAYS, checkpoint_share=share))
    for _ in range(6):
        next(events)
    (cohort,) = store.cohorts(unfinished_for=[run.id for run in all_runs(made)])
    assert cohort.checkpoint == written
    events.close()  # type: ignore[attr-defined]


def test_a_study_extended_while_a_cohort_is_unfinished(tmp_path: Path) -> None:
    small, large = study(seeds=1, steps=12), study(seeds=2, steps=12)
    with Store(tmp_path / "a") as store:
        until(launch(small, store, definition="", timing=ALWAYS), 5)
        events = run_all(large, store)
        assert events[0].num_resumed == 4  # type: ignore[union-attr]
        assert events[-1].num_trained == 8  # type: ignore[union-attr]
    with Store(tmp_path / "b") as store:
        run_all(large, store)
    assert contents(tmp_path / "a", "small") == contents(tmp_path / "b", "small")


@pytest.mark.slow
def test_what_was_planned_is_not_planned_again(store: Store) -> None:
    """A second launch may measure otherwise; the runs' bits must not depend on that."""
    made = study(**TWO_STRUCTURES, rules=FEW, seeds=1)
    until(launch(made, store, definition="", backend="serial"), 1)
    events = run_all(made, store)
    assert all(re.search("starts? as planned before, serial", line) for line in events[0].lines)  # type: ignore[union-attr]
    assert {record.backend for record in store.runs("small")} == {"serial on cpu"}
    other = replace(made, name="other", model={"kind": "mlp", "hidden": [5]})
    until(launch(other, store, definition=""), 1)
    run_all(other, store, backend="serial")
    assert {record.backend for record in store.runs("other")} == {"serial on cpu"}


def test_every_run_diverging_is_stored_as_a_result(store: Store) -> None:
    made = study(
        rules=[{"kind": "sgd", "lr": [1e25, 1e30]}], model={"kind": "mlp", "hidden": [8, 8]}, steps=200
    )
    events = run_all(made, store)
    assert events[-1].num_diverged == events[-1].num_trained == 4  # type: ignore[union-attr]
    for record in store.runs("small"):
        assert record.status == "diverged"
        assert record.diverged_at is not None
        assert record.step == record.diverged_at < 200
        assert record.metrics == {}
    assert run_all(made, store)[-1].num_trained == 0  # type: ignore[union-attr]


class NoNumbers(nn.Sequential):
    """A loss that is NaN before anything was learned."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 3))
        nn.init.constant_(self[0].weight, float("nan"))


@pytest.mark.parametrize("backend", ["native", "fused", "serial"])
def test_a_model_that_begins_with_nan_is_not_blamed_on_the_learning_rate(store: Store, backend: str) -> None:
    run_all(study(model=NoNumbers), store, backend=backend)
    assert {record.diverged_at for record in store.runs("small")} == {0}
    verdict = Results.load(store, "small").verdict
    assert verdict.sentences[1].startswith("No lr can help: the loss is not finite before the first step")
    assert not any("smaller lr" in warning for warning in verdict.warnings)


@pytest.mark.parametrize("scale", [1e38, 1e-37])
def test_targets_at_the_ends_of_float32_are_trained(store: Store, scale: float) -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    data = from_arrays(x, np.clip(x @ [1.0, -0.5, 0.3], -2, 2) * scale)
    run_all(study(data=data), store)
    best = Results.load(store, "small").verdict.rules[0]
    assert best.test is not None
    assert 0 < -best.test / scale**2 < 2


def test_a_diverged_run_beside_sound_ones(store: Store, tmp_path: Path) -> None:
    rules = [{"kind": "sgd", "lr": [0.1, 1e25]}]
    run_all(study(rules=rules, steps=100), store)
    records = store.runs("small")
    assert [record.status for record in records] == ["done", "done", "diverged", "diverged"]
    for kind in ("weights", "predictions"):
        assert all(np.isnan(array).all() for array in store.tensors(kind, records[2].id).values())
    with Store(tmp_path / "sound") as sound:
        run_all(study(rules=[{"kind": "sgd", "lr": 0.1}], steps=100), sound)
    assert contents(tmp_path / "sound", "small").items() <= contents(Path(store.root), "small").items()


@pytest.mark.parametrize("closed_at", [0, 9])
def test_progress_only_goes_forward(closed_at: int, store: Store) -> None:
    rules = [{"kind": "sgd", "lr": [0.1, 1e25]}, {"kind": "adam", "lr": 0.01}]
    made = study(rules=rules, **TWO_STRUCTURES)
    if closed_at:
        until(launch(made, store, definition="", timing=ALWAYS), closed_at)
    events = run_all(made, store, timing=ALWAYS)
    progress = [event for event in events if isinstance(event, Progress)]
    assert [type(event) for event in (events[0], events[-1])] == [Planned, Trained]
    assert len(progress) == len(events) - 2
    for before, after in pairwise(progress):
        assert before.run_steps <= after.run_steps
        assert before.runs_done <= after.runs_done
        assert before.num_diverged <= after.num_diverged
        assert before.best is None or (after.best is not None and before.best <= after.best)
    last = progress[-1]
    assert last.run_steps == last.all_run_steps == 12 * 12
    assert last.runs_done == last.num_runs == 12
    assert last.num_diverged == 4
    best = max(
        record.metrics["validation_accuracy"] for record in store.runs("small") if record.status == "done"
    )
    assert last.best is not None
    assert last.best >= np.float32(best)
    assert last.best_label in ("adam", "sgd")
    assert all(event.seconds_left is None or event.seconds_left >= 0 for event in progress)


def test_of_a_regression_the_best_is_the_lowest_loss(store: Store) -> None:
    made = study(data=dataset("diabetes"), steps=30)
    events = run_all(made, store)
    losses = [record.metrics["validation_loss"] for record in store.runs("small") if record.metrics]
    best = [event.best for event in events if isinstance(event, Progress)][-1]
    assert best is not None
    assert best <= min(losses) * (1 + 1e-6)
    labels = store.labels.of(dataset("diabetes").fingerprint)
    own = dataset("diabetes").test.y * dataset("diabetes").target_scale + dataset("diabetes").target_mean
    np.testing.assert_allclose(labels.test, own, rtol=1e-5)


def replayed(made: Study, store: Store, prefix: str) -> Replayed:
    events = list(replay(made, store, prefix))
    assert isinstance(events[-1], Replayed)
    return events[-1]


@pytest.mark.slow
def test_a_replay_of_a_serial_run_has_its_bits_and_one_of_a_fused_run_is_near(tmp_path: Path) -> None:
    made = study(steps=15, seeds=1, dropout=0.2)
    for backend, limit in (("serial", 0.0), ("fused", 1e-5)):
        with Store(tmp_path / backend) as store:
            run_all(made, store, backend=backend)
            for run in all_runs(made):
                found = replayed(made, store, run.id[:8])
                assert found.run == run.id
                assert found.largest <= limit
                assert found.relative <= limit
                assert found.agreement is not None
                assert "30 of 30" in found.agreement
                assert found.stored_diverged_at is found.diverged_at is None
                assert re.match(backend, found.stored_backend)


def test_a_replay_of_a_diverged_run_diverges_at_the_same_step(store: Store) -> None:
    made = study(rules=[{"kind": "sgd", "lr": 1e25}], seeds=1)
    run_all(made, store)
    found = replayed(made, store, all_runs(made)[0].id)
    assert found.diverged_at == found.stored_diverged_at is not None
    assert found.agreement is None


def test_what_cannot_be_replayed(store: Store) -> None:
    made = study()
    until(launch(made, store, definition=""), 1)
    run = all_runs(made)[0]
    with pytest.raises(StoreError, match=f"^run {run.id} is (running|planned); only a run that has finished"):
        list(replay(made, store, run.id))
    run_all(made, store)
    with pytest.raises(
        StoreError, match=r"trained on other data than this study's wine is now \(fingerprint "
    ):
        list(replay(study(data=dataset("wine")), store, run.id))
    other = study(model={"kind": "mlp", "hidden": [17]}, origin="other.toml")
    words = r"^other.toml: run .* with another model than this study's: model.hidden: \[16\] -> \[17\]$"
    with pytest.raises(StoreError, match=words):
        list(replay(other, store, run.id))
