"""Studies, launches, runs: what is planned, listed, shared and deleted."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from ravine.errors import StoreError
from ravine.store import NewRun, RunResult, Store

Make = Callable[..., NewRun]


def test_a_study_comes_back_as_it_went_in(store: Store) -> None:
    study = store.study("digits")
    assert (study.definition, study.base, study.data_fingerprint) == ("epochs = 1", "base", "data")
    assert datetime.fromisoformat(study.created_at).utcoffset() is not None
    assert study.launches == ()
    assert store.studies() == [study]


def test_the_text_of_a_study_may_change_but_not_its_base_or_data(store: Store, new_run: Make) -> None:
    store.save_study("digits", definition="epochs = 1  # longer grid", base="base", data_fingerprint="data")
    store.add_runs("digits", [new_run(0)])
    store.open_cohort("c", [new_run(0).id], {})
    text = "epochs = 1\nevaluations = 3"
    for base, data, definition, told in (
        ("other", "data", text, "evaluations: 20 -> 3;"),
        ("other", "data", "epochs = 1", "the source of its model;"),
        ("other", "data", "no text", "the source of its model;"),
        ("base", "other", "epochs = 1", r"the content of its data \(fingerprint data -> other\);"),
        (
            "base",
            "other",
            text,
            r"evaluations: 20 -> 3, the content of its data \(fingerprint data -> other\);",
        ),
    ):
        with pytest.raises(
            StoreError, match=f"study 'digits' .* changed since .*: {told}.* another name"
        ) as error:
            store.save_study("digits", definition=definition, base=base, data_fingerprint=data)
        assert "\n" not in str(error.value)
    assert store.study("digits").definition == "epochs = 1  # longer grid"


def test_a_study_of_which_nothing_was_trained_yet_may_change_altogether(store: Store, new_run: Make) -> None:
    store.add_runs("digits", [new_run(0)])
    store.save_study("digits", definition="x", base="other", data_fingerprint="more")
    assert (store.study("digits").base, store.study("digits").data_fingerprint) == ("other", "more")


def test_an_unknown_study_gets_the_nearest_name(store: Store) -> None:
    with pytest.raises(StoreError, match=re.escape("no study 'digts' in the store; did you mean 'digits'?")):
        store.study("digts")
    with pytest.raises(StoreError, match="no study 'digts'"):
        store.runs("digts")


def test_names_may_be_anything(store: Store) -> None:
    name = "a/b 'c' \"d\" <e> \N{SNOWMAN} " + "x" * 500
    store.save_study(name, definition="'; DROP TABLE runs; --", base="b", data_fingerprint="d")
    with store.lock(name):
        assert store.study(name).definition == "'; DROP TABLE runs; --"


def test_launches_keep_their_facts_and_a_killed_one_has_no_seconds(store: Store) -> None:
    facts = {"command": "ravine run s.toml", "versions": {"torch": "2.13"}, "plan": "fused, 1 cohort"}
    first = store.launches.begin("digits", file="s.toml", hardware={"cpu": "x", "cores": 2}, **facts)  # type: ignore[arg-type]
    store.launches.begin("digits", hardware={}, **facts)  # type: ignore[arg-type]
    store.launches.end(first, 1.5)
    done, killed = store.study("digits").launches
    assert (done.seconds, done.hardware, done.versions) == (1.5, {"cpu": "x", "cores": 2}, {"torch": "2.13"})
    assert (done.file, killed.file) == ("s.toml", None)
    assert (killed.seconds, killed.command, killed.plan) == (None, "ravine run s.toml", "fused, 1 cohort")


def test_runs_keep_order_fields_and_state(store: Store, new_run: Make) -> None:
    runs = [new_run(number) for number in (5, 1, 3)]
    store.add_runs("digits", runs)
    store.add_runs("digits", runs)
    found = store.runs("digits")
    assert [run.id for run in found] == [run.id for run in runs]
    for run, new in zip(found, runs, strict=True):
        for field in ("config", "rule", "hypers", "seed", "recipe", "num_steps"):
            assert getattr(run, field) == getattr(new, field)
        assert (run.status, run.step, run.metrics) == ("planned", 0, {})
        assert (run.diverged_at, run.seconds, run.backend) == (None, None, None)


def test_runs_that_leave_a_definition_stay_in_the_store(store: Store, new_run: Make) -> None:
    store.add_runs("digits", [new_run(0), new_run(1), new_run(2)])
    store.add_runs("digits", [new_run(3), new_run(1)])
    assert [run.id for run in store.runs("digits")] == [new_run(3).id, new_run(1).id]
    everything = [run.id for run in store.runs("digits", all=True)]
    assert everything == [new_run(n).id for n in (3, 1, 0, 2)]
    store.add_runs("digits", [new_run(0)])
    assert [run.id for run in store.runs("digits")] == [new_run(0).id]


def test_studies_that_share_an_unfinished_run_know_of_each_other(store: Store, new_run: Make) -> None:
    store.save_study("other", definition="", base="b", data_fingerprint="d")
    store.add_runs("digits", [new_run(0), new_run(1)])
    store.add_runs("other", [new_run(2)])
    assert store.sharing("digits", []) == []
    assert store.sharing("digits", [new_run(2).id]) == ["other"]
    store.add_runs("other", [new_run(1), new_run(2)])
    assert (store.sharing("digits", []), store.sharing("other", [])) == (["other"], ["digits"])


def test_a_run_has_in_each_study_that_studys_names(store: Store, new_run: Make) -> None:
    store.add_runs("digits", [new_run(0)])
    store.save_study("other", definition="", base="b", data_fingerprint="d")
    store.add_runs("other", [new_run(0, rule="Adam, tuned", hypers={"lr": 0.1})])
    assert store.runs("digits")[0].rule == "adam"
    assert store.runs("other")[0].rule == "Adam, tuned"
    assert store.runs("other")[0].hypers == {"lr": 0.1}
    store.add_runs("digits", [new_run(0, hypers={"lr": 0.1, "schedule": "cosine"})])
    assert store.runs("digits")[0].hypers == {"lr": 0.1, "schedule": "cosine"}


def test_a_run_is_found_by_a_unique_prefix(store: Store, new_run: Make) -> None:
    ids = ["abcd000000000001", "abcd000000000002", "abce000000000003"]
    store.add_runs("digits", [new_run(n, id=run) for n, run in enumerate(ids)])
    assert store.run("abce").id == ids[2]
    assert store.run(ids[0]).id == ids[0]
    with pytest.raises(StoreError, match=r"'abcd' is ambiguous: 2 runs .*abcd000000000001, abcd000000000002"):
        store.run("abcd")
    with pytest.raises(StoreError, match="no run in the store begins with 'ffff'"):
        store.run("ffff")
    for bad in ("abc", "ABCD", "ab%d", "wxyz", "", "0" * 17):
        with pytest.raises(StoreError, match="the first 4 or more of them"):
            store.run(bad)


def test_a_seed_may_take_63_bits(store: Store, new_run: Make) -> None:
    store.add_runs("digits", [new_run(0, seed=2**63 - 1)])
    assert store.runs("digits")[0].seed == 2**63 - 1


def finish(store: Store, cohort: str, ids: list[str], result: Callable[..., RunResult]) -> None:
    store.open_cohort(cohort, ids, {})
    store.append_curves(ids, np.arange(3), {"train_loss": np.zeros((3, len(ids)))})
    weights = {"w": np.arange(len(ids), dtype=np.float32)}
    store.finish_cohort(cohort, [result(run) for run in ids], weights, {})


def test_deleting_a_study_spares_what_others_use(
    store: Store, new_run: Make, result: Callable[..., RunResult], tmp_path: Path
) -> None:
    runs = [new_run(number) for number in range(6)]
    ids = [run.id for run in runs]
    store.save_study("other", definition="", base="b", data_fingerprint="data")
    store.add_runs("digits", runs)
    store.add_runs("other", runs[1:2])
    finish(store, "shared", ids[:2], result)
    finish(store, "own", ids[2:4], result)
    store.open_cohort("open", ids[4:], {})
    store.save_checkpoint("open", 10, {"w": np.zeros(3)}, {})
    assert store.shared_runs("digits") == {"other": 1}
    assert store.delete_study("digits") == 5
    assert store.shared_runs("other") == {}
    assert [study.name for study in store.studies()] == ["other"]
    assert store.runs("other")[0].status == "done"
    assert store.tensors("weights", ids[1])["w"] == 1
    assert len(store.curves(ids, "train_loss")[ids[1]][0]) == 3
    assert store.cohorts(unfinished_for=ids) == []
    assert len(list((tmp_path / "runs" / "blocks").iterdir())) == 1
    assert store.check() == []
    assert store.delete_study("other") == 1
    assert list((tmp_path / "runs" / "blocks").iterdir()) == []
    with pytest.raises(StoreError, match="no study 'other' in the store; the store has none yet"):
        store.delete_study("other")


def test_deleting_breaks_up_an_open_cohort_of_shared_runs(store: Store, new_run: Make) -> None:
    runs = [new_run(0), new_run(1)]
    ids = [run.id for run in runs]
    store.save_study("other", definition="", base="b", data_fingerprint="data")
    store.add_runs("digits", runs)
    store.add_runs("other", runs[:1])
    store.open_cohort("c", ids, {})
    store.append_curves(ids, np.arange(1, 3), {"train_loss": np.ones((2, 2))})
    assert store.delete_study("digits") == 1
    assert store.run(ids[0]).status == "planned"
    assert len(store.curves(ids[:1], "train_loss")[ids[0]][0]) == 0


@pytest.mark.slow
def test_thousands_of_runs_fit_into_one_call(store: Store, new_run: Make) -> None:
    runs = [new_run(number) for number in range(6000)]
    store.add_runs("digits", runs)
    store.add_runs("digits", runs)
    assert len(store.runs("digits")) == 6000
    assert len(store.curves([run.id for run in runs], "train_loss")) == 6000
