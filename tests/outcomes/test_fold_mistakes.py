"""What the networks of a study with folds get wrong: against predictions that are put together by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

import ravine
from ravine.cli.main import main
from ravine.data import Dataset, from_arrays
from ravine.data.deal_folds import FoldOf
from ravine.errors import InputError
from ravine.outcomes import Results
from ravine.report import page

FOLDS, REPEATS, SEEDS, N = 4, 2, 2, 120
RNG = np.random.default_rng(3)
X = RNG.standard_normal((N, 3))
Y = np.where(X[:, 0] > 0.4, "late", np.where(X[:, 1] > 0.0, "early", "never"))
FLIPPED = 17
Y[FLIPPED] = "never" if Y[FLIPPED] == "late" else "late"


def _study(name: str, data: Dataset, **more: Any) -> ravine.Study:
    given: dict[str, Any] = {
        "model": {"kind": "mlp", "hidden": [8]},
        "steps": 60,
        "batch_size": 16,
        "seeds": SEEDS,
        "rules": [{"kind": "adam", "lr": [1e-3, 0.05]}, {"kind": "sgd", "lr": 0.1}],
    }
    return ravine.Study(name=name, data=data, **{**given, **more})


def _split(repeats: int = 1) -> dict[str, Any]:
    return {"folds": FOLDS, "repeats": repeats}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("folds") / "runs"


@pytest.fixture(scope="module")
def classes(folder: Path) -> Results:
    return ravine.run(_study("classes", from_arrays(X, Y, split=_split(REPEATS))), store=folder, quiet=True)


def _by_hand(results: Results, rule: str) -> dict[tuple[int, int], np.ndarray]:
    """(N, ...) outputs of each (repeat, seed), out of fold."""
    data = results.data
    assert data is not None
    assert data.folds is not None
    assert results.folds is not None
    found: dict[tuple[int, int], np.ndarray] = {}
    for each in results.folds.of(rule):
        own = data.folds.of(each.part)
        rows = [int(own.place("test", i).rpartition(" ")[2]) for i in range(len(own.test))]
        for seed, run in enumerate(each.runs):
            tested = results.source.tensors("predictions", run)["test"]
            table = found.setdefault((each.part.repeat, seed), np.full((N, *tested.shape[1:]), np.nan))
            assert np.isnan(table[rows]).all()
            table[rows] = tested
    assert not any(np.isnan(table).any() for table in found.values())
    return found


def test_every_example_is_looked_at_by_the_networks_that_have_not_seen_it(classes: Results) -> None:
    found = classes.mistakes(rule="adam", num=N)
    assert found.confusion is not None
    tables = _by_hand(classes, "adam")
    names = found.confusion.classes
    right = np.array([names.index(each) for each in Y])
    said = [table.argmax(axis=1) for table in tables.values()]
    every, again = np.concatenate(said), np.tile(right, REPEATS * SEEDS)
    np.testing.assert_array_equal(found.confusion.counts, confusion_matrix(again, every))
    assert found.confusion.num_runs == found.num_runs == REPEATS * SEEDS
    theirs = precision_recall_fscore_support(again, every, zero_division=np.nan)
    for name, wanted in zip(("precision", "recall", "f1"), theirs, strict=False):
        np.testing.assert_allclose(
            [getattr(each, name) for each in found.confusion.by_class], wanted, rtol=1e-12
        )
    assert [each.num for each in found.confusion.by_class] == np.bincount(right).tolist()
    wrong = np.mean([each != right for each in said], axis=0)
    assert {each.number for each in found.examples} == set(np.flatnonzero(wrong).tolist())
    for each in found.examples:
        assert each.wrong == pytest.approx(wrong[each.number])
        assert each.answer == Y[each.number]
        assert each.place.endswith(f" {each.number}")
        np.testing.assert_allclose(
            [float(value) for value in each.values.values()], X[each.number], rtol=1e-4
        )
    assert FLIPPED in {each.number for each in found.examples[:5]}


def test_intervals_are_over_folds_and_corrected(classes: Results) -> None:
    """Wilson's, of the corrected standard error of the class's error over folds."""
    found = classes.mistakes(rule="adam", num=0)
    assert found.confusion is not None
    assert classes.folds is not None
    k = 1
    (name, num) = found.confusion.classes[k], found.confusion.by_class[k].num
    errors = []
    for each in classes.folds.of("adam"):
        labels = classes.source.labels.of(each.part.key(classes.study.data_fingerprint))
        own = labels.test == k
        outputs = [classes.source.tensors("predictions", run)["test"][own] for run in each.runs]
        errors.append(np.mean([(one.argmax(axis=1) != k).mean() for one in outputs]))
    mean = found.confusion.by_class[k].error
    scale = np.sqrt((1 / len(errors) + classes.folds.ratio) * np.var(errors, ddof=1))
    half = stats.t.ppf(0.975, len(errors) - 1) * scale
    z = stats.norm.ppf(0.975)
    effective = z**2 * mean * (1 - mean) / half**2
    if num * min(mean, 1 - mean) < 10:
        effective = min(effective, num)
    middle = (mean + z**2 / (2 * effective)) / (1 + z**2 / effective)
    reach = z * np.sqrt(mean * (1 - mean) / effective + (z / (2 * effective)) ** 2) / (1 + z**2 / effective)
    (row,) = (each for each in found.confusion.by_class if each.name == name)
    assert row.low <= middle - reach + 1e-9  # the spread of examples is at least that
    assert row.high >= middle + reach - 1e-9
    assert row.low < mean < row.high


def test_without_the_data_all_is_counted_but_examples_are_unknown(classes: Results) -> None:
    whole = classes.mistakes()
    found = replace(classes, data=None).mistakes()
    assert found.confusion is not None
    assert whole.confusion is not None
    np.testing.assert_array_equal(found.confusion.counts, whole.confusion.counts)
    assert found.confusion.by_class == whole.confusion.by_class
    assert found.confusion.num_runs == whole.confusion.num_runs
    assert not found.examples
    assert "which examples a fold tests is not known" in str(found)
    assert "hardest for" not in str(found)


def test_numbers_and_labels(folder: Path) -> None:
    numbers = from_arrays(X, X[:, 0] * 3 + RNG.standard_normal(N), task="regression", split=_split(REPEATS))
    results = ravine.run(_study("numbers", numbers), store=folder, quiet=True)
    best = results.verdict.rules[0].rule
    found = results.mistakes()
    assert found.deviations is not None
    tables = _by_hand(results, best)
    np.testing.assert_allclose(found.deviations.predicted, np.mean(list(tables.values()), axis=0), rtol=1e-5)
    off = np.median([np.abs(table - found.deviations.answers) for table in tables.values()], axis=0)
    assert [each.number for each in found.examples] == np.argsort(-off, kind="stable")[:20].tolist()
    assert sum(each.num for each in found.deviations.tenths) == N
    assert all(each.ends[0] < each.rmse < each.ends[1] for each in found.deviations.tenths)
    marks = np.stack([X[:, 0] > 0, X[:, 1] > 0.5], axis=1).astype(int)
    data = from_arrays(X, marks, task="multilabel", split=_split())
    several = ravine.run(_study("marks", data), store=folder, quiet=True)
    known = several.mistakes()
    assert known.labels is not None
    outputs = _by_hand(several, several.verdict.rules[0].rule)
    for k, each in enumerate(known.labels.by_class):
        wrong = np.mean([(table[:, k] > 0) != marks[:, k] for table in outputs.values()])
        assert each.error == pytest.approx(wrong)
        assert each.low < each.error < each.high


def test_a_fold_that_lost_a_run_and_a_repeat_that_lost_a_fold(classes: Results) -> None:
    assert classes.folds is not None
    chosen = list(classes.folds.chosen)
    at = next(
        i for i, each in enumerate(chosen) if each.rule == "adam" and each.part == FoldOf(fold=1, repeat=0)
    )
    fewer = [*chosen[:at], replace(chosen[at], runs=chosen[at].runs[:1]), *chosen[at + 1 :]]
    found = replace(classes, folds=replace(classes.folds, chosen=tuple(fewer))).mistakes(rule="adam")
    assert found.num_runs == REPEATS  # one seed of every fold
    none = replace(classes, folds=replace(classes.folds, chosen=tuple(chosen[:at] + chosen[at + 1 :])))
    found = none.mistakes(rule="adam")
    assert found.num_runs == SEEDS  # of the other repeat
    assert found.confusion is not None
    assert found.confusion.counts.sum() == SEEDS * N


def test_for_people_programs_and_the_report(
    classes: Results, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = str(classes.mistakes(rule="adam", num=3))
    assert "adam, over 4 folds and 2 repeats, each example by 4 networks that have not seen it: " in " ".join(
        shown.split()
    )
    assert "over training sets and examples" in shown
    assert main(["mistakes", "classes", "--store", str(folder), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["split"] == "test"
    assert np.sum(content["confusion"]["counts"]) == REPEATS * SEEDS * N
    html = page.report(classes).decode()
    assert "counts are over all runs of the configs that the folds chose, and" in html
    assert "What it gets wrong" in html
    assert "Confusion matrix: test" in html
    assert "The hardest test examples for 4 runs of" in html
    assert "The hardest validation examples" not in html
    with pytest.raises(InputError, match="split = 'validation': study 'classes' has folds, which test every"):
        classes.mistakes(split="validation")
    with pytest.raises(InputError, match="rule 'adm': the study has none of that name"):
        classes.mistakes(rule="adm")
    with pytest.raises(InputError, match="split = 'tst': did you mean 'test'"):
        classes.mistakes(split="tst")


def test_pictures_are_those_of_the_fold_that_tests_them(folder: Path) -> None:
    pictures = RNG.integers(0, 256, (40, 1, 6, 6)).astype(np.uint8)
    answers = (pictures[:, 0, :3].mean(axis=(1, 2)) > 127).astype(int)
    data = from_arrays(pictures, answers, split={"folds": 4})
    study = _study("pictures", data, steps=10, batch_size=8, rules=["adam"])
    results = ravine.run(study, store=folder, quiet=True)
    html = page.report(results).decode()
    assert html.count("data:image/png") >= len(results.mistakes(num=24).examples) > 0


def test_several_targets_are_each_in_their_own_unit(folder: Path) -> None:
    y = np.stack([X[:, 0] * 100.0, X[:, 1] * X[:, 2]], axis=1)
    data = from_arrays(X, y, class_names=["large", "small"], split=_split())
    results = ravine.run(_study("several", data), store=folder, quiet=True)
    found = results.mistakes(num=10)
    assert found.targets is not None
    outputs = np.stack(list(_by_hand(results, found.rule).values()))
    for place, name in enumerate(("large", "small")):
        off = outputs[:, :, place] - y[:, place]
        each = found.targets.targets[name]
        assert each.rmse == pytest.approx(np.sqrt(np.square(off).mean()), rel=1e-5)
        assert all(low <= tenth.rmse <= high for tenth in each.tenths for low, high in (tenth.ends,))
        worst = np.median(np.abs(off), axis=0)
        assert [one.number for one in found.targets.largest[name]] == np.argsort(-worst)[:5].tolist()
    first = found.examples[0]
    place = ("large", "small").index(first.target)
    assert first.off == pytest.approx(
        np.median(np.abs(outputs[:, first.number, place] - y[first.number, place])), rel=1e-5
    )
    assert "large by tenths: test" in page.report(results).decode()
    by_target = results.by_target
    assert by_target is not None
    for place, errors in enumerate(by_target.rules[found.rule]):
        off = outputs[:, :, place] - y[:, place]
        own = [data.folds.rows[part] for part in data.folds.rows] if data.folds is not None else []
        squares = [np.square(seed[rows]).mean() for seed in off for rows in own]
        assert errors.rmse == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-5)
        assert errors.mae == pytest.approx(
            np.mean([np.abs(seed[rows]).mean() for seed in off for rows in own]), rel=1e-5
        )
    assert set(by_target.runs) == {run.id for run in results.runs}
    assert "over folds and seeds" in str(by_target.grid("rule"))
    assert "Errors of each target" in page.report(results).decode()
    assert isinstance(results.table()[0]["validation_rmse_large"], float)
