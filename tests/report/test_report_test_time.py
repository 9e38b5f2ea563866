"""Modes at test in verdict, table and figure: numbers by hand, the log of test, and what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine
from ravine.cli.main import main
from ravine.ensembles.modes import change_of, mode_grid, mode_rows, mode_words_of
from ravine.ensembles.scoring import entropy_of
from ravine.report.draw_test_time import mode_curves
from ravine.report.figures import figure, figures
from ravine.store import Store
from ravine.study import Study
from ravine.study.modes import Mode
from ravine.verdict.student import Error, half_width

ASKED: dict[str, Any] = {"modes": ["mean", "mc"], "samples": 8, "views": "flips", "judge": "mc"}
MC = Mode(samples=8)


def study(**changes: Any) -> Study:
    given: dict[str, Any] = {
        "name": "small", "data": "digits", "model": {"kind": "mlp", "hidden": [16], "dropout": 0.6},
        "steps": 60, "seeds": 4, "evaluations": 1, "rules": [{"kind": "adam", "lr": [0.003, 0.03]}],
    }  # fmt: skip
    return Study(**{**given, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("modes")
    ravine.run(study(test_time=ASKED), store=place, quiet=True)
    return place


def accuracy(log_p: np.ndarray, answers: np.ndarray) -> float:
    return float((log_p.argmax(1) == answers).mean())


def test_the_verdict_is_about_the_mode_that_is_judged(folder: Path) -> None:
    results = ravine.results("small", store=folder)
    assert results.mode == MC
    [rule] = results.verdict.rules
    ids = [run.id for run in results.runs]
    found = Store(folder).evaluated.read(MC.id, ids)
    by_config: dict[str, list[float]] = {}
    for run in results.runs:
        score = accuracy(found[run.id]["validation"], results.labels.validation)
        by_config.setdefault(run.config, []).append(score)
    assert rule.config == max(by_config, key=lambda config: np.mean(by_config[config]))
    tests = [accuracy(found[run]["test"], results.labels.test) for run in rule.runs]
    assert rule.test == pytest.approx(np.mean(tests))


def test_each_mode_that_is_scored_on_test_is_logged(folder: Path) -> None:
    results = ravine.results("small", store=folder)
    mode_rows(results)
    words = {each.words for each in Store(folder).scored.of(results.study.data_fingerprint)}
    assert "small: adam, mc with 8 samples, the mean over its seeds" in words
    assert "small: adam, the mean over its seeds" in words
    assert "small: adam, mc with 8 samples of 2 views, the mean over its seeds" in words


def test_rows_are_scores_of_the_same_runs_and_their_paired_change(folder: Path) -> None:
    results = ravine.results("small", store=folder)
    rows = {row.mode: row for row in mode_rows(results)}
    assert list(rows) == ["mean", "mc", "mean+views", "mc+views"]
    [rule] = results.verdict.rules
    store, answers = Store(folder), results.labels.test
    mean = [store.tensors("predictions", run)["test"] for run in rule.runs]
    drawn = [store.evaluated.read(MC.id, [run])[run]["test"] for run in rule.runs]
    assert rows["mean"].scores["accuracy"] == pytest.approx(
        np.mean([accuracy(each, answers) for each in mean])
    )
    places = np.arange(len(answers))
    nll = [-each.astype(np.float64)[places, answers] for each in drawn]
    assert rows["mc"].scores["nll"] == pytest.approx(np.mean(nll), rel=1e-6)
    own = [
        np.log(np.exp(each.astype(np.float64)).sum(1)) - each.astype(np.float64)[places, answers]
        for each in mean
    ]
    change = rows["mc"].changes["nll"]
    assert change.value == pytest.approx(np.mean(nll) - np.mean(own), abs=1e-9)
    assert change.low < change.value < change.high
    assert rows["mean"].changes == {}
    assert any(
        line.startswith("adam: mc with 8 samples against the mean pass at test: NLL ")
        for line in mode_words_of(tuple(rows.values()))
    )
    assert mode_grid(tuple(rows.values()), MC).before == ("The verdict above is about mc with 8 samples.",)


def test_the_interval_of_a_change_covers_seeds_and_examples() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        seeds, examples = generator.normal(size=(6, 1)), generator.normal(size=(1, 80))
        base = generator.normal(size=(6, 80))
        found = change_of(
            base + 0.2 * seeds + 0.5 * examples + 0.3 * generator.normal(size=(6, 80)), base, binary=False
        )
        covered += found.low <= 0.0 <= found.high
    assert 270 <= covered <= 299
    # Of seeds alone it is Student's.
    shift = np.array([0.1, 0.3, 0.2, 0.4])[:, None] * np.ones((4, 1000))
    found = change_of(shift, np.zeros((4, 1000)), binary=False)
    error = Error(seed=float(shift[:, 0].std(ddof=1)) / 2, df=3.0, floor=0.0, example=0.0)
    assert found.high - found.value == pytest.approx(half_width(error, 0.05), rel=0.01)


def test_the_figure_has_the_stored_curves_and_the_mean_pass(folder: Path) -> None:
    results = ravine.results("small", store=folder)
    [found] = mode_curves(results)
    [rule] = results.verdict.rules
    stored = Store(folder).evaluated.read(MC.id, rule.runs)
    line = found.lines["nll"]["mc"]
    assert line.samples == (1, 2, 3, 5, 7, 8)
    curves = np.stack([stored[run]["validation_nll"] for run in rule.runs])
    np.testing.assert_allclose(line.mean, curves[:, [0, 1, 2, 4, 6, 7]].mean(0))
    np.testing.assert_allclose(line.low, curves[:, [0, 1, 2, 4, 6, 7]].min(0))
    own = [run.metrics["validation_loss"] for run in results.runs if run.id in rule.runs]
    assert found.lines["nll"]["mean"].mean[0] == pytest.approx(np.mean(own), rel=1e-5)
    right = sum(round(float(stored[run]["validation_right"][-1] * 359)) for run in rule.runs)
    assert len(found.entropies["right"]) == right
    assert len(found.informations["wrong"]) == 4 * 359 - right
    assert found.entropies["wrong"].mean() > found.entropies["right"].mean()
    drawn = figure(results, "test-time")
    assert [len(view.panels) for view in drawn.views] == [4]
    assert "test-time" in [each.name for each in figures(results)]


@pytest.mark.slow
def test_a_level_without_a_random_layer_is_not_drawn(tmp_path: Path) -> None:
    given = {"name": "levels", "model": {"kind": "mlp", "hidden": [4], "dropout": [0.0, 0.5]}}
    given |= {"seeds": 1, "steps": 5, "rules": [{"kind": "adam", "lr": 0.01}]}
    ravine.run(study(**given, compare="dropout", test_time=ASKED), store=tmp_path, quiet=True)
    results = ravine.results("levels", store=tmp_path)
    rows = mode_rows(results)
    assert {row.rule for row in rows} == {"without dropout", "dropout 0.5"}
    assert mode_grid(rows, None, results.noun).columns[0] == "level"
    plain = [words for words in mode_words_of(rows) if words.startswith("without dropout")]
    assert [words.partition(":")[2][:37] for words in plain] == [
        " mc with 8 samples is the mean pass, ",
        " the mean pass of 2 views against the",
    ]
    drawn = figure(results, "test-time")
    assert [view.label for view in drawn.views] == ["dropout 0.5"]
    assert drawn.lead.startswith("dropout 0.5: mc with 8 samples against")
    assert "Of each level's" in drawn.caption
    assert drawn.caption.endswith("every pass is the mean pass; so not drawn: without dropout.")


def test_entropy_of_a_sure_answer_is_nothing() -> None:
    with np.errstate(divide="ignore"):
        assert entropy_of(np.log([[1.0, 0.0]])).tolist() == [0.0]


def test_a_run_without_an_evaluation_is_said_and_the_mean_pass_judged(folder: Path) -> None:
    with Store(folder) as store:
        store.evaluated.ask("small", {**ASKED, "samples": 9, "views": ["flip"]})
        results = ravine.results("small", store=folder)
        store.evaluated.ask("small", ASKED)
    assert results.mode is None
    assert results.warnings[0].startswith("8 runs have not been evaluated by mc yet")
    assert mode_rows(results) == ()
    assert figure(results, "test-time").views == ()


def test_show_prints_the_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "small", "--store", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "Predictions at test" in out
    assert "The verdict above is about mc with 8 samples." in out
    assert main(["show", "small", "--store", str(folder), "--json"]) == 0
    assert '"against_mean"' in capsys.readouterr().out
