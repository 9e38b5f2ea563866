"""`--again-for averages`: what finished runs lack is made up for, and is what it would have been."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from engine_runs import all_runs, study
from launches import contents, run_all, until
from safetensors.numpy import load_file, save_file

import ravine
from ravine.errors import InputError
from ravine.launch.again import again_for_averages
from ravine.launch.progress import Event, Planned, Trained
from ravine.launch.writer import Timing
from ravine.store import Store, digests
from ravine.store.schema import blocks, metrics, runs
from ravine.study import Study

AVERAGES: dict[str, Any] = {"ema": 0.9, "polyak": {"from": 0.5}, "bank": {"steps": 4}}
NORMED = {"kind": "mlp", "hidden": [6], "norm": "batch"}
RULES = [{"kind": "nesterov", "lr": [0.1, 0.01]}, {"kind": "adam", "lr": [0.02, 1e30]}]
AT_ONCE = Timing(tick_seconds=0.0)


def configs(made: Study) -> set[str]:
    """One of each rule."""
    return {run.recipe.id for run in all_runs(made) if run.recipe.hypers["lr"] in (0.1, 0.02)}


def again(made: Study, store: Store) -> Iterator[Event]:
    return again_for_averages(made, store, configs(made), device="cpu", timing=AT_ONCE)


def ended(events: Iterator[Event]) -> tuple[Planned, Trained]:
    first, *_, last = events
    assert isinstance(first, Planned)
    assert isinstance(last, Trained)
    return first, last


SLOW = [pytest.param(backend, marks=pytest.mark.slow) for backend in ("fused", "serial")]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["native", *SLOW])
def test_averages_made_up_for_are_those_of_a_launch_that_had_them(tmp_path: Path, backend: str) -> None:
    made = study(model=NORMED, rules=RULES, averages=AVERAGES)
    with Store(tmp_path / "direct") as store:
        run_all(made, store, backend=backend)
    with Store(tmp_path / "again") as store:
        run_all(replace(made, averages=None), store, backend=backend)
        before = contents(tmp_path / "again", "small")
        until(again(made, store), 3)  # interrupted
        assert contents(tmp_path / "again", "small") == before
        planned, trained = ended(again(made, store))
        assert (planned.num_runs, planned.num_known, trained.num_trained) == (4, 0, 4)
        assert trained.lines == ()
        assert store.check() == []
        planned, trained = ended(again(made, store))  # nothing is lacking now
        assert (planned.num_known, trained.num_trained) == (4, 0)
    direct, found = contents(tmp_path / "direct", "small"), contents(tmp_path / "again", "small")
    chosen = [run.id for run in all_runs(made) if run.recipe.id in configs(made)]
    assert {run: found[run] for run in chosen} == {run: direct[run] for run in chosen}
    others = set(found) - set(chosen)
    assert {run: found[run] for run in others} == {run: before[run] for run in others}


@pytest.mark.slow
def test_only_what_is_lacking_is_added(tmp_path: Path) -> None:
    made = study(model=NORMED, rules=RULES[:1], averages=AVERAGES)
    with Store(tmp_path / "direct") as store:
        run_all(made, store)
    with Store(tmp_path / "again") as store:
        run_all(replace(made, averages={"ema": 0.9}), store)
        ended(again(made, store))
        assert store.check() == []
    direct, found = contents(tmp_path / "direct", "small"), contents(tmp_path / "again", "small")
    chosen = [run.id for run in all_runs(made) if run.recipe.id in configs(made)]
    assert {run: found[run] for run in chosen} == {run: direct[run] for run in chosen}


def test_a_run_that_does_not_come_out_as_it_is_stored_gets_none(tmp_path: Path) -> None:
    """One weight of one run is another, in a file whose hash is right."""
    made = study(rules=RULES[:1], averages=AVERAGES)
    with Store(tmp_path / "runs") as store:
        run_all(replace(made, averages={"bank": {"steps": 2}}), store)
        [file] = (tmp_path / "runs" / "blocks").glob("weights-*")
        tensors = load_file(file)
        tensors["linear1.bias"][0, 0] += 1e-3
        save_file(tensors, file)
        with store._core.write() as connection:
            row = connection.execute(blocks.select().where(blocks.c.kind == "weights")).one()._asdict()
            row |= {"sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "size": file.stat().st_size}
            row["digest"] = digests.digest_of(blocks, row)
            connection.execute(blocks.update().where(blocks.c.id == row["id"]).values(**row))
    with Store(tmp_path / "runs") as store:
        _, trained = ended(
            again_for_averages(made, store, {run.recipe.id for run in all_runs(made)}, device="cpu")
        )
        assert store.check() == []
        [line] = trained.lines
        changed = line.split()[1]
        assert line.startswith(f"run {changed} did not come out as it is stored (a weight differs by 0.001)")
        names, banked = store.averages.names([r.id for r in all_runs(made)]), store.bank.steps([changed])
        assert [run for run, found in names.items() if not found] == [changed]
        assert banked == {changed: [10, 20]}  # what it had is not lost


def test_a_run_of_another_kind_of_device_is_left_out_with_a_line(tmp_path: Path) -> None:
    made = study(rules=RULES[:1], averages={"ema": 0.9})
    store = Store(tmp_path / "runs")
    run_all(replace(made, averages=None), store)
    with store._core.write() as connection:
        for row in connection.execute(runs.select()).all():
            new = {**row._asdict(), "backend": "fused on cuda"}
            scores = connection.execute(metrics.select().where(metrics.c.run_id == row.id)).all()
            new["digest"] = digests.digest_of(runs, new, [{score.name: score.value for score in scores}])
            connection.execute(runs.update().where(runs.c.id == row.id).values(**new))
    planned, trained = ended(again(made, store))
    assert planned.lines == ("! 2 runs cannot be repeated here: 'fused on cuda' trained them, this is cpu",)
    assert trained.num_trained == 0


def test_in_python_and_what_is_refused(tmp_path: Path) -> None:
    made = study(rules=RULES, seeds=1)
    with pytest.raises(InputError, match="again_for = 'banks': must be 'averages'"):
        ravine.run(made, store=tmp_path, again_for="banks")
    with pytest.raises(InputError, match="averages: missing: --again-for averages needs some"):
        ravine.run(made, store=tmp_path, again_for="averages")
    ravine.run(made, store=tmp_path, quiet=True, device="cpu")
    more = replace(made, averages={"ema": 0.9})
    results = ravine.run(more, store=tmp_path, again_for="averages", quiet=True, device="cpu")
    assert [(row.rule, row.average) for row in results.averages] == [
        ("nesterov", "ema 0.9"),
        ("adam", "ema 0.9"),
    ]
