"""Early stopping in launches, in the store, and in what is said of it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from launches import contents, run_all, until
from rich.console import Console

import ravine
from ravine.engine.loss import Loss
from ravine.launch.launch import launch
from ravine.launch.progress import Progress
from ravine.launch.subject import Subject, stored_run
from ravine.launch.writer import Timing
from ravine.outcomes import Results
from ravine.report import page, terminal, terminal_runs
from ravine.report.collect import best_curves
from ravine.store import RunRecord, Store
from ravine.study import Study

ALWAYS = Timing(tick_seconds=0.0, checkpoint_seconds=0.0, checkpoint_share=1.0)


def study_of(**changes: object) -> Study:
    given: dict[str, object] = {
        "name": "s", "data": "iris", "model": {"kind": "mlp", "hidden": [8], "norm": "batch"}, "steps": 60,
        "batch_size": 16, "seeds": 2, "evaluations": 20, "rules": [{"kind": "momentum", "lr": [0.1, 1.0]}, "adam"],
        "stop": {"patience": [0, 2]}, "averages": {"ema": 0.9, "swa": {"from": 0.5, "every": 1}},
        "keep": {"every": 7},
    } | changes  # fmt: skip
    return Study(**given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("stopping")
    ravine.run(study_of(), store=found, quiet=True)
    return found


def early(store: Store) -> list[RunRecord]:
    found = [record for record in store.runs("s") if record.stopped]
    assert found
    return found


def test_the_store_has_where_a_run_stopped_and_whose_weights_it_has(folder: Path) -> None:
    with Store(folder, create=False) as store:
        assert store.check() == []
        subject = Subject.of(study_of())
        validation = subject.data.validation
        for record in early(store):
            steps, losses = store.curves([record.id], "validation_loss")[record.id]
            assert steps[-1] == record.step
            best = steps[losses.argmin()]
            assert record.weights_of == record.metrics["restored_step"] == best < record.step
            assert record.step == best + 2 * 3  # of patience 2 and 3 steps between evaluations
            kept, _ = store.kept.path(record.id)
            assert max(kept) <= record.step
            module = subject.network([stored_run(record)]).make().eval()
            weights = store.tensors("weights", record.id)
            module.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
            outputs = module(torch.from_numpy(validation.x)).detach()
            loss, _ = Loss(task="classification").scores(outputs, torch.from_numpy(validation.y))
            assert record.metrics["validation_loss"] == pytest.approx(float(loss.mean()), rel=1e-5)
            assert record.metrics["validation_loss"] == pytest.approx(float(losses.min()), rel=1e-5)
            np.testing.assert_allclose(
                store.tensors("predictions", record.id)["validation"], outputs, rtol=1e-4, atol=1e-5
            )
        others = [record for record in store.runs("s") if not record.stopped]
        assert all(record.step == 60 for record in others)
        assert {"restored_step" in record.metrics for record in others} == {False, True}


@pytest.mark.slow
def test_interrupted_at_any_moment_it_ends_as_undisturbed(folder: Path, tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for count in (4, 14):
            until(launch(study_of(), store, definition="text", timing=ALWAYS), count)
        events = run_all(study_of(), store)
    assert contents(tmp_path, "s") == contents(folder, "s")
    last = [event for event in events if isinstance(event, Progress)][-1]
    assert last.run_steps == last.all_run_steps


@pytest.mark.slow
def test_a_study_of_before_keeps_its_runs(tmp_path: Path) -> None:
    small = {"averages": None, "keep": None, "rules": ["adam"], "model": {"kind": "mlp", "hidden": [8]}}
    ravine.run(study_of(**small, stop=None), store=tmp_path, quiet=True)
    before = contents(tmp_path, "s")
    ravine.run(study_of(**small), store=tmp_path, quiet=True)
    after = contents(tmp_path, "s")
    assert before.items() < after.items()


def test_what_is_said_of_it(folder: Path) -> None:
    with Store(folder, create=False) as store:
        results = Results.load(store, "s")
        record = early(store)[0]
        out = io.StringIO()
        Console(file=out, width=200).print(terminal.run(record), terminal_runs.runs_of(results))
        status = f"stopped early at step {record.step} of 60, with the weights of step {record.weights_of}"
        assert status in out.getvalue()
        assert f"stopped, {record.step}" in out.getvalue()
        assert f"stopped early at {record.step}" in page.report(results).decode()


@pytest.mark.slow
def test_curves_end_with_a_mark(tmp_path: Path) -> None:
    ravine.run(study_of(stop={"patience": 2}), store=tmp_path, quiet=True)
    with Store(tmp_path, create=False) as store:
        results = Results.load(store, "s")
        for each in best_curves(results, "loss"):
            chosen = next(result.config for result in results.verdict.rules if result.rule == each.rule)
            stopped = {r.seed: r for r in early(store) if r.config == chosen}
            assert {end.seed: (end.step, end.weights_of) for end in each.ends} == {
                seed: (record.step, record.weights_of) for seed, record in stopped.items()
            }


@pytest.mark.slow
def test_staged(tmp_path: Path) -> None:
    made = study_of(
        tune="staged",
        schedule=["cosine"],
        rules=["adam", "adamw"],
        stop={"patience": 2},
        keep=None,
        averages=None,
    )
    results = ravine.run(made, store=tmp_path, quiet=True)
    second = [run for run in results.runs if run.hypers["stage"] == "2"]
    assert second
    assert all(run.hypers["stop.patience"] == 2.0 and "restored_step" in run.metrics for run in second)
