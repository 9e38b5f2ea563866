"""The verdict between kinds: what each is and costs, one run as long as all members, and the log of what was scored."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ensemble_studies import classes
from scipy.special import log_softmax

import ravine
from ravine.cli import main
from ravine.ensembles import scoring
from ravine.ensembles.findings import Ensemble
from ravine.outcomes.scored import recipe_id
from ravine.report.draw_gain import gain_numbers
from ravine.report.pooled import members_of
from ravine.store import Labels, Store
from ravine.study import Recipe

NAME = "costly"


def study(**changes: object) -> ravine.Study:
    given = {
        "name": NAME,
        "steps": 30,
        "averages": {"ema": [0.8, 0.9]},
        "rules": [{"kind": "adam", "lr": [0.01, 0.03]}],
    }
    return classes(**given | changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinds") / "runs"
    ravine.run(study(), store=folder, quiet=True, device="cpu")
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> Ensemble:
    return ravine.ensemble(study(), store=folder, soup=True)


@pytest.fixture
def opened(folder: Path) -> Iterator[Store]:
    with Store(folder, create=False) as store:
        yield store


def labels(store: Store) -> Labels:
    return store.labels.of(store.study(NAME).data_fingerprint)


def test_every_kind_is_there_once_with_its_cost(found: Ensemble, opened: Store) -> None:
    rows = {each.name: each for each in found.judged}
    average = next(name for name in rows if name.startswith("ema"))
    made = [name for name in rows if name == "soup"]
    assert list(rows) == ["best run", "best configs", "greedy", "snapshots", average, *made, "ensemble"]
    assert len({each.pool.id for each in found.judged}) == len(rows)
    epoch = labels(opened).sizes[0] // Recipe.of(opened.runs(NAME)[0].recipe).batch_size
    assert rows["best run"].epochs == rows[average].epochs == rows["snapshots"].epochs == 30 / epoch
    assert rows["ensemble"].epochs == 3 * 30 / epoch
    assert len(rows["snapshots"].pool.weights) == 3
    assert {each.second for each in found.compared} == set(rows) - {"ensemble"}
    read = found.json()
    assert [each["epochs"] for each in read["scores"]] == [each.epochs for each in found.judged]
    assert read["rival"] is None
    assert "Costs, and the ensemble" in str(found)


def test_the_average_is_the_one_that_is_best_on_validation(found: Ensemble, opened: Store) -> None:
    row = next(each for each in found.judged if each.name.startswith("ema"))
    best = next(each for each in found.judged if each.name == "best run")
    config = opened.run(next(iter(best.pool.weights))).config
    scores = {
        (-run.metrics[f"{name}/validation_accuracy"], run.metrics[f"{name}/validation_loss"], name, run.id)
        for run in opened.runs(NAME)
        if run.config == config
        for name in ("ema 0.8", "ema 0.9")
    }
    *_, name, run = min(scores)
    assert dict(row.pool.weights) == {f"{run}#{name}": 1.0}
    logits, answers = opened.tensors(f"{name}/predictions", run)["test"], labels(opened).test
    assert row.test["accuracy"] == (logits.argmax(axis=1) == answers).mean()


def test_members_are_named_along_a_run_and_at_an_average(folder: Path, opened: Store) -> None:
    run = opened.runs(NAME)[0].id
    found = ravine.ensemble(study(), store=folder, members=f"{run[:8]}@12, {run}#ema 0.9,{run}")
    assert set(found.weights) == {f"{run}@12", f"{run}#ema 0.9", run}
    alone = ravine.ensemble(NAME, store=folder, members=[f"{run}#ema 0.9"])
    logits = opened.tensors("ema 0.9/predictions", run)["validation"].astype(np.float64)
    answers = labels(opened).validation
    nll = -log_softmax(logits, axis=1)[np.arange(len(answers)), answers].mean()
    assert alone.judged[-1].raw["validation"]["nll"] == pytest.approx(nll, rel=1e-12)
    with pytest.raises(ravine.InputError, match=r"has no average 'ema 0\.5'; it has ema 0\.8, ema 0\.9"):
        ravine.ensemble(NAME, store=folder, members=[f"{run}#ema 0.5"])


def test_a_soup_is_a_kind_where_validation_accepts_it(folder: Path, found: Ensemble) -> None:
    soup = ravine.soup(study(), store=folder)
    names = [each.name for each in found.judged]
    assert ("soup" in names) == soup.accepted
    if soup.accepted:
        row = found.judged[names.index("soup")]
        assert dict(row.pool.weights) == {f"{soup.id}#soup": 1.0}
    else:
        assert any("no soup" in text for text in found.left_out)


def test_what_was_scored_is_logged_once(
    folder: Path, opened: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    fingerprint = opened.study(NAME).data_fingerprint
    found = ravine.ensemble(study(), store=folder)
    logged = {each.recipe: each.words for each in opened.scored.of(fingerprint)}
    assert {each.pool.id for each in found.judged} <= logged.keys()
    assert logged[found.id] == f"{NAME}: ensemble"
    (alone,) = found.judged[0].pool.weights
    assert recipe_id({alone: 1.0}) == found.judged[0].pool.id in logged
    verdict = ravine.results(NAME, store=folder).verdict
    assert {rule.config for rule in verdict.rules} <= logged.keys()
    assert found.num_scored == len(logged)
    fewer = ravine.ensemble(study(), store=folder, members=[*found.weights][:2])
    assert fewer.num_scored == len(logged) + 1
    assert main(["ensemble", NAME, "--store", str(folder)]) == 0  # for the second time
    assert f"{fewer.num_scored} recipes have been scored on the test part" in " ".join(
        capsys.readouterr().out.split()
    )


def test_a_log_that_cannot_be_written_is_a_note(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "runs"
    shutil.copytree(folder, copy)
    with contextlib.closing(sqlite3.connect(copy / "ravine.db")) as database, database:
        database.execute("UPDATE scored SET words = 'another'")  # damaged: its digest does not fit
    with Store(copy, create=False) as store:
        runs = [run.id for run in store.runs(NAME)]
    found = ravine.ensemble(NAME, store=copy, members=runs[1:3])
    assert any("is not logged" in text for text in found.left_out)
    assert found.judged[-1].test
    results = ravine.results(NAME, store=copy)
    assert any("is not logged" in text for text in results.warnings)
    assert results.verdict.rules[0].test is not None


def test_one_run_as_long_as_all_members_is_trained_once(folder: Path, opened: Store) -> None:
    found = ravine.ensemble(study(), store=folder, rival=True, quiet=True)
    rival = found.rival
    assert rival is not None
    assert rival.times == 3
    best = opened.run(next(iter(found.judged[0].pool.weights)))
    longer = opened.runs(f"{NAME}-rival-3")
    own, theirs = Recipe.of(best.recipe).content(), Recipe.of(longer[0].recipe).content()
    changed = {key for key in own if own[key] != theirs[key]}
    assert changed == {"steps", "evaluate_every", "schedule"}
    assert theirs["steps"] == 3 * own["steps"]
    assert theirs["schedule"] == own["schedule"] | {"warmup": 12}
    assert sorted(run.seed for run in longer) == [0, 1, 2]
    answers = labels(opened)
    losses, right = [], []
    for run in longer:
        stored = opened.tensors("predictions", run.id)
        heat = scoring.useful_temperature(
            log_softmax(stored["validation"].astype(float), axis=1), answers.validation
        )
        log_p = log_softmax(stored["test"].astype(float) / heat, axis=1)
        losses.append(-log_p[np.arange(len(answers.test)), answers.test])
        right.append((stored["test"].argmax(axis=1) == answers.test).mean())
    ensemble = found.judged[-1].per_example["nll"]
    against = next(each for each in found.compared if (each.second, each.score) == (rival.name, "nll"))
    assert against.difference == pytest.approx((ensemble - np.mean(losses, axis=0)).mean(), abs=1e-6)
    assert rival.range("accuracy") == (min(right), max(right))
    assert "one long run" in str(found)
    assert found.json()["rival"]["times"] == 3
    launches = len(opened.study(f"{NAME}-rival-3").launches)
    again = ravine.ensemble(study(), store=folder, rival=True, quiet=True)
    assert len(opened.study(f"{NAME}-rival-3").launches) == launches
    assert again.json()["rival"] == found.json()["rival"]


def test_the_figure_of_the_gain_has_the_longer_run(folder: Path, opened: Store) -> None:
    """After the test above has trained it."""
    members = members_of(ravine.results(NAME, store=folder))
    assert members is not None
    answers = labels(opened).validation
    each = [
        log_softmax(opened.tensors("predictions", run.id)["validation"].astype(float), axis=1)
        for run in opened.runs(f"{NAME}-rival-3")
    ]
    nll = np.mean([-log_p[np.arange(len(answers)), answers].mean() for log_p in each])
    assert gain_numbers(members).longer[3]["nll"] == pytest.approx(nll, rel=1e-9)


def test_a_single_run_has_no_longer_rival(folder: Path, opened: Store) -> None:
    run = opened.runs(NAME)[0].id
    found = ravine.ensemble(study(), store=folder, members=[run], rival=True, quiet=True)
    assert found.rival is None
    assert any("one long run is left out" in text for text in found.left_out)
