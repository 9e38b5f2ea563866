"""Ensembles of stored runs: which members, what is read, what is said; against the stored predictions themselves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ensemble_studies import classes
from scipy.special import log_softmax, logsumexp

import ravine
from ravine.api.ensembles import evaluation
from ravine.cli import main
from ravine.ensembles.reading import Reader
from ravine.ensembles.snapshots import snapshots
from ravine.outcomes.member import Member
from ravine.outcomes.trials import Predicted
from ravine.store import Store


@pytest.fixture
def predicted(store: Path) -> Predicted:
    opened = Store(store, create=False)
    return Predicted(store=opened, labels=opened.labels.of(opened.study("classes").data_fingerprint))


def best_config(store: Path, name: str, metric: str, sign: float) -> list[str]:
    """Seeds of the config with the best mean, found with a loop."""
    runs = [run for run in Store(store, create=False).runs(name) if run.status == "done"]
    means = {
        config: np.mean([sign * run.metrics[metric] for run in runs if run.config == config])
        for config in {run.config for run in runs}
    }
    best = max(means.values())
    tied = [config for config, mean in means.items() if mean == best]
    lr = {run.config: run.hypers["lr"] for run in runs}
    chosen = min(tied, key=lambda config: float(lr[config]))
    return sorted(run.id for run in runs if run.config == chosen)


def test_seeds_of_the_winner_are_pooled_equally(store: Path, predicted: Predicted) -> None:
    found = ravine.ensemble("classes", store=store)
    ids = best_config(store, "classes", "validation_accuracy", 1.0)
    assert [member.run for member in found.members] == ids
    assert list(found.weights.values()) == pytest.approx([1 / 3] * 3)
    for split, scores in (
        ("validation", found.judged[-1].raw["validation"]),
        ("test", found.judged[-1].raw["test"]),
    ):
        outputs = predicted.outputs(split, ids)  # type: ignore[arg-type]
        each = np.stack([log_softmax(outputs[run].astype(np.float64), axis=1) for run in ids])
        pooled = logsumexp(each, axis=0) - np.log(3)
        answers = predicted.answers(split)  # type: ignore[arg-type]
        assert scores["nll"] == pytest.approx(-pooled[np.arange(len(answers)), answers].mean(), rel=1e-12)
        assert scores["accuracy"] == (pooled.argmax(axis=1) == answers).mean()
    assert found.forecast is not None
    assert found.curve[-1].scores["nll"].value == pytest.approx(
        found.judged[-1].raw["validation"]["nll"], rel=1e-12
    )


def test_of_a_regression_in_the_targets_own_units(store: Path) -> None:
    found = ravine.ensemble("values", store=store)
    ids = best_config(store, "values", "validation_loss", -1.0)
    assert [member.run for member in found.members] == ids
    opened = Store(store, create=False)
    labels = opened.labels.of(opened.study("values").data_fingerprint)
    values = [opened.tensors("predictions", run)["test"].astype(np.float64) for run in ids]
    assert found.judged[-1].test["mse"] == pytest.approx(
        np.square(np.mean(values, axis=0) - labels.test).mean()
    )
    assert found.calibration == ()
    assert "mean of their predictions" in found.sentences[0]


def test_a_single_member_is_the_run_itself(store: Path, predicted: Predicted) -> None:
    run = best_config(store, "classes", "validation_accuracy", 1.0)[0]
    found = ravine.ensemble("classes", store=store, members=[run])
    logits = predicted.outputs("validation", [run])[run]
    accuracy = (logits.argmax(axis=1) == predicted.answers("validation")).mean()
    assert found.judged[-1].validation["accuracy"] == accuracy
    assert found.weights == {run: 1.0}
    assert found.forecast is None
    assert "one member is its own pool" in found.sentences[0]


def test_members_are_known_by_id_and_not_by_place(store: Path) -> None:
    ids = best_config(store, "classes", "validation_accuracy", 1.0)
    first, second = (ravine.ensemble("classes", store=store, members=order) for order in (ids, ids[::-1]))
    assert first.json() == second.json()
    assert first.id == ravine.ensemble("classes", store=store).id
    assert first.id != ravine.ensemble("classes", store=store, combine="vote").id
    assert first.id != ravine.ensemble("classes", store=store, members=ids[:2]).id


def test_test_is_read_once_for_what_validation_chose(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[str, set[str]]] = []
    outputs = Reader.outputs

    def watched(self: Reader, split: str, members: list[Member]) -> dict[str, np.ndarray]:
        read.append((split, {member.name for member in members}))
        return outputs(self, split, members)  # type: ignore[arg-type]

    monkeypatch.setattr(Reader, "outputs", watched)
    found = ravine.ensemble("classes", store=store, members="all")
    tests = [names for split, names in read if split == "test"]
    assert tests == [{name for each in found.judged for name in each.pool.weights}]
    assert [split for split, _ in read[-2:]] == ["validation", "test"]
    seeds = set(best_config(store, "classes", "validation_accuracy", 1.0))
    assert seeds <= tests[0]


def test_a_diverged_member_is_left_out_by_name(store: Path) -> None:
    opened = Store(store, create=False)
    lost = next(run for run in opened.runs("classes") if run.status == "diverged")
    found = ravine.ensemble(
        "classes", store=store, members=[lost.id, *best_config(store, "classes", "validation_accuracy", 1.0)]
    )
    assert len(found.members) == 3
    assert any(lost.id[:8] in text and "diverged" in text for text in found.left_out)
    every = ravine.ensemble("classes", store=store, members="all", select="all")
    assert len(every.members) == 9
    assert "3 runs diverged and are left out" in every.left_out[0]


def test_the_best_are_chosen_and_the_choice_is_cross_fitted(store: Path) -> None:
    top = ravine.ensemble("classes", store=store, members="configs", size=2)
    every = ravine.ensemble("classes", store=store, members="configs", select="all")
    assert every.optimism is None
    assert len(every.members) == 3
    assert len({member.config for member in every.members}) == 3
    assert sorted(top.solo) == sorted(every.solo)[:2]
    assert top.optimism is not None
    greedy = ravine.ensemble("classes", store=store, members="all", size=3)
    assert greedy.select == "greedy"
    assert 1 <= len(greedy.members) <= 3
    assert sum(greedy.weights.values()) == pytest.approx(1.0)
    others = {"best run", "winner's seeds", "best configs", "snapshots"}
    assert {each.second for each in greedy.compared} == others


def test_snapshots_are_the_ends_of_cycles(store: Path) -> None:
    """31 steps, 4 of them a warm-up, the others 3 cycles: each ends with the smallest lr before it jumps up again."""
    found = ravine.ensemble(classes(), store=store, members="snapshots")
    record = Store(store, create=False).run(found.members[0].run)
    ends = [13, 22]  # (s - 4) 3 mod 27 is 0 at s = 13 and 22
    assert [member.step for member in found.members] == [*ends, None]
    assert {member.run for member in found.members} == {record.id}
    assert found.select == "all"
    assert found.judged[-1].pool.weights.keys() == {record.id, f"{record.id}@13", f"{record.id}@22"}


def test_the_matrix_of_snapshots_fits_into_a_terminal(store: Path) -> None:
    found = ravine.ensemble(classes(), store=store, members="snapshots", select="top", size=6)
    (matrix,) = [
        grid for grid in found.grids() if grid.columns[1:] == ("1", "2", "3", "4", "5", "6")[: len(grid.rows)]
    ]
    assert [row[0] for row in matrix.rows] == [
        f"{i}: {each.short}" for i, each in enumerate(found.members, 1)
    ]
    assert max(len(line) for line in str(matrix).split("\n\n")[-1].splitlines()) <= 80


def test_snapshots_are_found_where_only_they_are_kept(tmp_path: Path) -> None:
    study = classes(keep={"every": "cycle"}, rules=["adam"], seeds=1)
    ravine.run(study, store=tmp_path, quiet=True, device="cpu")
    found = ravine.ensemble(study, store=tmp_path, members="snapshots")
    assert [member.step for member in found.members] == [13, 22, None]


def test_what_a_snapshot_predicts_is_what_the_run_predicted_there(store: Path, predicted: Predicted) -> None:
    """Its accuracy is the one that training measured after that step."""
    opened = Store(store, create=False)
    record = next(run for run in opened.runs("classes") if run.status == "done")
    along = snapshots(opened, [record])
    assert along is not None
    accuracy = opened.curves([record.id], "validation_accuracy")[record.id]
    curve = dict(zip(accuracy[0].tolist(), accuracy[1].tolist(), strict=True))
    outputs = evaluation(opened, lambda: (classes(), None), "cpu")("validation", along.members)
    answers = predicted.answers("validation")
    compared = 0
    for member in along.members:
        if member.step in curve:
            compared += 1
            found = (outputs[member.name].argmax(axis=1) == answers).mean()
            assert found == pytest.approx(curve[member.step], abs=1e-6)
    assert compared > 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"members": "seed"}, "members = 'seed': did you mean 'seeds'?"),
        ({"members": ["xyz"]}, "members: 'xyz' is no id of a run"),
        ({"members": []}, "members: none are named"),
        ({"members": ["0000000000"]}, "no run in the store begins with '0000000000'"),
        ({"select": "best"}, "select = 'best'"),
        ({"combine": "median"}, "combine = 'median'"),
        ({"size": 0}, "size = 0: must be a whole number of at least 1"),
    ],
)
def test_mistakes_are_one_line(store: Path, given: dict[str, object], said: str) -> None:
    with pytest.raises(ravine.InputError) as error:
        ravine.ensemble("classes", store=store, **given)  # type: ignore[arg-type]
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("study", "said"),
    [
        ("split", "its iris data are split otherwise than those of study 'classes'"),
        (
            "swapped",
            "its classes are ['a', 'b', 'c'], those of study 'classes' ['setosa', 'versicolor', 'virginica']",
        ),
        ("values", "its classes are []"),
    ],
)
def test_members_of_other_data_are_refused(store: Path, study: str, said: str) -> None:
    other = Store(store, create=False).runs(study)[0].id
    with pytest.raises(ravine.InputError, match="cannot be a member") as error:
        ravine.ensemble("classes", store=store, members=[other])
    assert said in str(error.value)


def test_what_cannot_be_pooled_is_one_line(store: Path) -> None:
    with pytest.raises(ravine.InputError, match="study 'lost': no run has finished with a finite score"):
        ravine.ensemble("lost", store=store)
    with pytest.raises(ravine.InputError, match="the target of study 'values' is a number"):
        ravine.ensemble("values", store=store, combine="vote")
    with pytest.raises(ravine.InputError, match="kept no weights along the winner's runs"):
        ravine.ensemble("values", store=store, members="snapshots")
    lost = next(run.id for run in Store(store, create=False).runs("classes") if run.status == "diverged")
    with pytest.raises(ravine.InputError, match="members: none is left: 1 run diverged and is left out"):
        ravine.ensemble("classes", store=store, members=[lost])


def test_the_verb_prints_tables_or_one_json_object(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert main(["ensemble", "classes", "--store", str(store)]) == 0
    printed = capsys.readouterr().out
    found = ravine.ensemble("classes", store=store)
    assert printed.startswith(f"classes: ensemble {found.id}\n")
    for sentence in found.sentences:
        assert sentence in printed
    assert "Against the best run: " in printed
    assert (
        main(["ensemble", "classes", "--store", str(store), "--json", "--members", "all", "--size", "2"]) == 0
    )
    read = json.loads(capsys.readouterr().out)
    assert len(read["members"]) <= 2
    assert read["select"] == "greedy"
    assert main(["ensemble", "classes", "--store", str(store), "--members", "seed"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_it_prints_itself_in_python_and_in_a_notebook(store: Path) -> None:
    found = ravine.ensemble(ravine.results("classes", store=store))
    assert str(found) == repr(found)
    assert found.id in str(found)
    assert "<table>" in found._repr_html_()
    assert np.allclose(found.disagreement, found.disagreement.T)
    assert len(found.curve) == 3
