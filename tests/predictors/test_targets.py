"""Several numbers and labels, all the way: a study, its verdict, an ensemble, predictions, a folder, an ONNX graph.

Numbers are checked against float64 formulas, PyTorch and scikit-learn.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

import ravine
from ravine.data import Dataset, from_arrays
from ravine.data.deal_folds import folds_of
from ravine.engine.loss import Loss
from ravine.engine.mixture import of_labels
from ravine.ensembles.cells import Cells
from ravine.ensembles.modes import mode_rows
from ravine.ensembles.pool import Pool
from ravine.errors import RavineError
from ravine.outcomes.results import Results
from ravine.report import page
from ravine.report.draw_coverage import AGREEMENT, coverage_of, draw_coverage
from ravine.report.pooled import members_of
from ravine.store import Store
from ravine.verdict import scorer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4))
VALUES = np.tanh(X @ RNG.normal(size=(4, 3))) * [1.0, 500.0, 0.01] + [0.0, 1e4, 3.0]
LABELS_X, LABELS = make_multilabel_classification(150, 8, n_classes=4, random_state=0)
NAMES = ("a", "b", "c", "d")
MODEL = {"kind": "mlp", "hidden": [8]}
RULES = [{"kind": "adam", "lr": [0.01, 0.03]}]
MODES = {"modes": ["mc"], "samples": 4}


@pytest.fixture(scope="module")
def numbers() -> Dataset:
    return from_arrays(X, VALUES, class_names=["small", "large", "tiny"], name="numbers")


@pytest.fixture(scope="module")
def labels() -> Dataset:
    return from_arrays(LABELS_X, LABELS, class_names=NAMES, name="labels")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, numbers: Dataset, labels: Dataset) -> Path:
    store = tmp_path_factory.mktemp("store")
    for data in (numbers, labels):
        ravine.run(study(data), store=store, quiet=True)
    return store


def study(data: Dataset, **changes: Any) -> ravine.Study:
    given = {"name": data.name, "data": data, "model": MODEL, "rules": RULES, "epochs": 6, "seeds": 3}
    return ravine.Study(**{**given, **changes})  # type: ignore[arg-type]


def chosen(folder: Path, name: str, split: str) -> tuple[Results, dict[str, np.ndarray]]:
    """The results, and what the chosen runs predict."""
    results = Results.load(Store(folder), name)
    stored = {run: results.source.tensors("predictions", run)[split] for run in results.verdict.rules[0].runs}
    return results, {run: each.astype(np.float64) for run, each in stored.items()}


def test_the_loss_of_labels_is_torchs() -> None:
    z, y = torch.randn(32, 5) * 4, (torch.rand(32, 5) > 0.6).float()
    found = Loss(task="multilabel").mean(z, y)
    assert found.item() == pytest.approx(torch.nn.BCEWithLogitsLoss()(z, y).item(), rel=1e-6)
    mixed = 0.3 * y + 0.7 * y.flip(0)
    found = Loss(task="multilabel").training(z, mixed, {})[0]
    assert found.item() == pytest.approx(torch.nn.BCEWithLogitsLoss()(z, mixed).item(), rel=1e-6)


def test_the_loss_of_several_numbers_is_torchs() -> None:
    z, y = torch.randn(32, 3), torch.randn(32, 3)
    loss = Loss(task="regression")
    assert loss.mean(z, y).item() == pytest.approx(torch.nn.MSELoss()(z, y).item(), rel=1e-6)
    np.testing.assert_allclose(loss.scores(z, y)[0], (z - y).square().mean(1), rtol=1e-6)


def test_the_verdict_on_several_numbers(folder: Path, numbers: Dataset) -> None:
    results, found = chosen(folder, "numbers", "test")
    assert results.labels.targets == ("small", "large", "tiny")
    answers = numbers.in_own_units(numbers.test.y)
    assert next(iter(found.values())).shape == answers.shape
    scale = np.array(numbers.target_scale)
    by_hand = np.mean([np.square((each - answers) / scale).mean() for each in found.values()])
    assert -results.verdict.rules[0].test == pytest.approx(by_hand, rel=1e-5)
    of = results.by_target
    assert of is not None
    for at, errors in enumerate(of.rules["adam"]):
        each = [(answers[:, at], values[:, at]) for values in found.values()]
        rmse = np.sqrt(np.mean([root_mean_squared_error(*pair) ** 2 for pair in each]))
        assert errors.rmse == pytest.approx(rmse, rel=1e-6)
        assert errors.mae == pytest.approx(np.mean([mean_absolute_error(*pair) for pair in each]), rel=1e-6)
        assert errors.r2 == pytest.approx(np.mean([r2_score(*pair) for pair in each]), rel=1e-6)
    row = results.table()[0]
    assert {"validation_rmse_large", "validation_mae_tiny", "validation_r2_small"} <= row.keys()
    assert "large" in str(results)
    assert results.json()["rules"][0]["test_rmse_large"] == pytest.approx(of.rules["adam"][1].rmse)


def test_the_final_loss_is_the_mean_over_targets_in_units_of_variance(folder: Path, numbers: Dataset) -> None:
    results, found = chosen(folder, "numbers", "validation")
    answers, scale = numbers.in_own_units(numbers.validation.y), np.array(numbers.target_scale)
    for run in results.runs:
        if run.id in found:
            loss = np.square((found[run.id] - answers) / scale).mean()
            assert run.metrics["validation_loss"] == pytest.approx(loss, rel=1e-5)


def test_the_verdict_on_labels(folder: Path, labels: Dataset) -> None:
    results, found = chosen(folder, "labels", "test")
    answers = labels.in_own_units(labels.test.y)
    right = np.mean([((each > 0) == answers).mean() for each in found.values()])
    assert results.verdict.rules[0].test == pytest.approx(right)
    assert "label accuracy" in str(results)
    _, on_validation = chosen(folder, "labels", "validation")
    known = torch.from_numpy(labels.validation.y).double()
    for run in results.runs:
        if run.id in on_validation:
            z = torch.from_numpy(on_validation[run.id])
            loss = torch.nn.BCEWithLogitsLoss()(z, known).item()
            assert run.metrics["validation_loss"] == pytest.approx(loss, rel=1e-5)
    assert (scorer("multilabel")(np.zeros((2, 3)), np.zeros((2, 3))) == 1.0).all()  # one half is no label


def test_a_report_has_both(folder: Path) -> None:
    pages = {name: page.report(Results.load(Store(folder), name)).decode() for name in ("numbers", "labels")}
    for words in ("Errors of each target", "units of variance", "in units of each target"):
        assert words in pages["numbers"]
    by_target = Results.load(Store(folder), "numbers").by_target
    assert by_target is not None
    for row in by_target.grid("rule").rows:
        for cell in row:
            assert f">{cell}</td>" in pages["numbers"]
    for words in (
        "4 labels",
        "Final validation label accuracy (%)",
        "cross-entropy per label",
        "The labels of all",
    ):
        assert words in pages["labels"]
    for words in ("validation accuracy", "target units²", "Errors of each target"):
        assert words not in pages["labels"]


def test_where_members_agree_is_said_of_each_answer_by_itself(folder: Path, numbers: Dataset) -> None:
    results = Results.load(Store(folder), "numbers")
    members = members_of(results)
    assert members is not None
    _, outputs = chosen(folder, "numbers", "validation")
    drawn = draw_coverage(results, members)
    assert [view.label for view in drawn.views] == ["small", "large", "tiny"]
    for place, _ in enumerate(drawn.views):
        values = np.stack([each[:, place] for each in outputs.values()]).astype(np.float64)
        off = values.mean(axis=0) - numbers.in_own_units(numbers.validation.y)[:, place]
        first, *_, last = coverage_of(members, place).levels[AGREEMENT]
        assert last.covered.value == pytest.approx(np.square(off).mean(), rel=1e-5)
        tenth = np.argsort(values.std(axis=0), kind="stable")[: first.here.examples]
        assert first.here.value == pytest.approx(np.square(off[tenth]).mean(), rel=1e-5)


def test_words_of_labels_and_of_several_targets(folder: Path) -> None:
    text, of_numbers = (
        " ".join(str(ravine.ensemble(name, store=folder, quiet=True)).split())
        for name in ("labels", "numbers")
    )
    assert "points of test label accuracy" in text
    assert re.search(r"Two members differ on [\d.]+ % of the labels", text)
    assert "test accuracy" not in text
    assert "of each target's deviation on validation" in of_numbers
    assert "in units of each target's deviation" in of_numbers
    results = Results.load(Store(folder), "labels")
    assert "test label accuracy" in results.verdict.sentences[0]
    members = members_of(results)
    assert members is not None
    drawn = draw_coverage(results, members)
    assert len(drawn.views) == 4
    assert drawn.table is not None
    assert drawn.table.columns[0] == "label"
    assert {row[0] for row in drawn.table.rows} == {view.label for view in drawn.views}


def test_an_ensemble_of_labels_pools_the_probability_of_each(folder: Path, labels: Dataset) -> None:
    found = ravine.ensemble("labels", store=folder, quiet=True)
    _, outputs = chosen(folder, "labels", "test")
    p = np.mean([1 / (1 + np.exp(-each)) for each in outputs.values()], axis=0)
    y = labels.in_own_units(labels.test.y)
    last = found.judged[-1]
    assert last.test["accuracy"] == pytest.approx(((p > 0.5) == y).mean())
    nll = -np.where(y == 1, np.log(p), np.log1p(-p))
    raw = last.raw["test"]
    assert raw["nll"] == pytest.approx(nll.mean(), rel=1e-6)
    assert raw["brier"] == pytest.approx(np.square(p - y).mean(), rel=1e-6)
    assert last.per_example["accuracy"].shape == (len(y),)
    assert "%" in str(found)


def test_an_ensemble_of_several_numbers_is_scored_in_units_of_variance(
    folder: Path, numbers: Dataset
) -> None:
    found = ravine.ensemble("numbers", store=folder, quiet=True)
    _, outputs = chosen(folder, "numbers", "test")
    mean, answers = np.mean(list(outputs.values()), axis=0), numbers.in_own_units(numbers.test.y)
    off = (mean - answers) / np.array(numbers.target_scale)
    assert found.judged[-1].test["mse"] == pytest.approx(np.square(off).mean(), rel=1e-6)
    np.testing.assert_allclose(found.judged[-1].per_example["mse"], np.square(off).mean(1), rtol=1e-5)


@pytest.mark.parametrize("combine", ["logits", "vote"])
def test_labels_are_pooled_in_the_other_ways_too(folder: Path, labels: Dataset, combine: str) -> None:
    found = ravine.ensemble("labels", store=folder, combine=combine, quiet=True)
    _, outputs = chosen(folder, "labels", "test")
    z = np.stack(list(outputs.values()))
    yes = z.mean(axis=0) > 0 if combine == "logits" else (z > 0).mean(axis=0) > 0.5
    y = labels.in_own_units(labels.test.y)
    assert found.judged[-1].test["accuracy"] == pytest.approx((yes == y).mean())


def test_predictions_have_a_column_for_each_target(folder: Path) -> None:
    found = ravine.predict("numbers", (X[:5], VALUES[:5]), what="ensemble", store=folder)
    columns = found.columns(members=True)
    assert list(columns) == [
        f"{kind}_{name}" for kind in ("prediction", "spread") for name in ("small", "large", "tiny")
    ]
    off = found.predicted - VALUES[:5]
    assert found.scores["rmse_large"] == pytest.approx(np.sqrt(np.square(off[:, 1]).mean()))
    empty = ravine.predict("numbers", [[float("nan")] * 4, X[0]], store=folder).columns()
    assert empty["prediction_tiny"][0] is None


def test_predictions_of_labels_have_probabilities(folder: Path) -> None:
    found = ravine.predict("labels", (LABELS_X[:6], LABELS[:6]), what="ensemble", store=folder)
    columns = found.columns(probabilities=True, members=True)
    assert list(columns) == [
        *(f"prediction_{name}" for name in NAMES),
        *(f"p_{name}" for name in NAMES),
        "disagreement",
    ]
    assert found.probabilities is not None
    np.testing.assert_array_equal(found.predicted, (found.probabilities > 0.5).astype(int))
    assert found.scores["accuracy"] == pytest.approx((found.predicted == LABELS[:6]).mean())
    p = found.probabilities
    nll = -np.where(LABELS[:6] == 1, np.log(p), np.log1p(-p)).mean()
    assert found.scores["nll"] == pytest.approx(nll, rel=1e-6)


def test_every_backend_comes_to_the_same(numbers: Dataset, labels: Dataset, tmp_path: Path) -> None:
    for data in (numbers, labels):
        found = []
        for backend in ("native", "fused", "serial"):
            small = study(data, epochs=2, seeds=1, augment={"mixup": 0.4})
            results = ravine.run(small, store=tmp_path / data.name / backend, backend=backend, quiet=True)
            found.append([run.metrics["validation_loss"] for run in results.runs])
        np.testing.assert_allclose(found[1:], [found[0]] * 2, rtol=1e-5)


def test_passes_that_draw_are_pooled_target_by_target(
    numbers: Dataset, labels: Dataset, tmp_path: Path
) -> None:
    """Of labels the mean of probabilities, of numbers the mean of values; how passes differ is of each target."""
    model = {"kind": "mlp", "hidden": [8], "dropout": 0.3}
    for data, x, y in ((numbers, X, VALUES), (labels, LABELS_X, LABELS)):
        small = study(
            data, model=model, rules=[{"kind": "adam", "lr": 0.03}], seeds=2, epochs=2, test_time=MODES
        )
        rows = mode_rows(ravine.run(small, store=tmp_path, quiet=True))
        assert [row.mode for row in rows] == ["mean", "mc"]
        assert np.isfinite(list(rows[1].scores.values())).all()
        found = ravine.predict(data.name, (x[:4], y[:4]), mode="mc", samples=20, store=tmp_path)
        unsure = found.spread if data is numbers else found.information
        assert unsure is not None
        assert unsure.shape == ((4, 3) if data is numbers else (4,))
        assert (unsure >= 0).all()
        assert unsure.max() > 0
    z = torch.randn(5, 6, 1, 3) * 3
    p = of_labels(z).predicted_NK.sigmoid()
    np.testing.assert_allclose(p, z.double().sigmoid().mean((1, 2)), rtol=1e-9)


def test_folds_deal_labels_in_proportion(labels: Dataset, tmp_path: Path) -> None:
    data = from_arrays(LABELS_X, LABELS, class_names=NAMES, split={"folds": 3}, name="folds")
    results = ravine.run(study(data, epochs=1, seeds=1), store=tmp_path, quiet=True)
    assert "Over 3 folds" in str(results)
    number = folds_of(LABELS, NAMES, None, folds=3, repeat=0, split_seed=0, name="t")
    shares = np.stack([LABELS[number == fold].sum(axis=0) for fold in range(3)])
    assert (np.bincount(number) == 50).all()
    assert np.abs(shares - LABELS.sum(axis=0) / 3).max() <= 2


@pytest.mark.parametrize("name", ["numbers", "labels"])
def test_one_onnx_graph_says_the_same(folder: Path, tmp_path: Path, name: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    written = ravine.export(name, out=tmp_path / "model", what="ensemble", onnx=True, store=folder)
    assert written.onnx is not None
    assert written.onnx < 1e-5
    session = onnxruntime.InferenceSession(tmp_path / "model" / "model.onnx")
    x = X[:4] if name == "numbers" else LABELS_X[:4]
    given = {session.get_inputs()[0].name: x.astype(np.float64)}
    here = ravine.predict(name, x, what="ensemble", store=folder)
    if name == "numbers":
        (found,) = session.run(["prediction"], given)
        np.testing.assert_allclose(found, here.predicted, rtol=1e-5)
    else:
        found, p = session.run(["labels", "probabilities"], given)
        np.testing.assert_array_equal(found, here.predicted.astype(int))
        np.testing.assert_allclose(p, here.probabilities, atol=1e-6)


@pytest.mark.parametrize("combine", ["mean", "logits", "vote"])
def test_a_pool_of_labels_by_hand(combine: str) -> None:
    logits = RNG.normal(size=(3, 20, 4)) * 3
    cells = Cells(task="classification", per=4, labels=True)
    pool = Pool(weights={"a": 0.45, "b": 0.35, "c": 0.2}, combine=combine)  # type: ignore[arg-type]
    found = pool.predict(cells, dict(zip("abc", logits, strict=True)))
    weights = np.array([0.45, 0.35, 0.2])[:, None, None]
    p = {
        "mean": (weights / (1 + np.exp(-logits))).sum(0),
        "logits": 1 / (1 + np.exp(-(weights * logits).sum(0))),
        "vote": (weights * (logits > 0)).sum(0),
    }[combine]
    assert found.log_p is not None
    np.testing.assert_allclose(cells.apart(np.exp(found.log_p[:, 1])), p, atol=1e-12)
    np.testing.assert_array_equal(cells.apart(found.predicted), p > 0.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_smoothing": 0.1}, "only classes are smoothed"),
        (
            {"tune": "regularize", "model": {**MODEL, "dropout": [0.0, 0.2]}},
            "overfitting is a gap of accuracies",
        ),
        ({"ladder": {"per_class": [5], "draws": 1}}, "no classes to take examples of"),
    ],
)
def test_what_has_no_meaning_for_labels_is_refused(
    labels: Dataset, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(RavineError) as error:
        ravine.run(study(labels, **changes), store=tmp_path, quiet=True)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["numbers", "labels"])
def test_an_exported_model_says_the_same(folder: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "model"
    ravine.export(name, out=out, what="ensemble", store=folder)
    x = X[:4] if name == "numbers" else LABELS_X[:4]
    here = ravine.predict(name, x, what="ensemble", store=folder)
    there = ravine.predict(out, x)
    np.testing.assert_allclose(
        there.predicted.astype(np.float64), here.predicted.astype(np.float64), rtol=1e-5
    )
    if here.probabilities is not None:
        np.testing.assert_allclose(there.probabilities, here.probabilities, atol=1e-6)
    card = (out / "README.md").read_text()
    assert ("| MSE in units of variance" if name == "numbers" else "| label accuracy |") in card
    said = "3 numbers, each in its own unit" if name == "numbers" else "which of 4 labels an example has"
    assert said in (out / "README.md").read_text()
