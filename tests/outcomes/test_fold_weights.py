"""`data.weight_scores` beside folds: each fold is tuned and tested by weighted scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sk

import ravine
from ravine.data import from_arrays, load, parse_data

RNG = np.random.default_rng(0)
X = RNG.standard_normal((120, 3))
W = RNG.gamma(0.7, size=120) + 0.01
ANSWERS = {
    "classification": (X[:, 0] + RNG.standard_normal(120) > 0).astype(int),
    "regression": X[:, 0] * 3 + RNG.standard_normal(120),
}


@pytest.mark.parametrize("task", ANSWERS)
def test_each_fold_is_tuned_and_tested_by_weighted_means(tmp_path: Path, task: str) -> None:
    data = from_arrays(
        X, ANSWERS[task], task=task, weights=W, weight_scores=True, split={"folds": 3, "repeats": 2}
    )
    assert data.folds is not None
    study = ravine.Study(
        name="weighted",
        data=data,
        model={"kind": "mlp", "hidden": [4]},
        steps=20,
        batch_size=16,
        seeds=2,
        rules=[{"kind": "adam", "lr": [0.003, 0.05]}],
    )
    results = ravine.run(study, store=tmp_path / "runs", quiet=True)
    assert results.folds is not None
    tested = []
    for each in results.folds.chosen:
        own = data.folds.of(each.part)

        def score(run: str, split: str, own: ravine.Dataset = own) -> float:
            part, outputs = getattr(own, split), results.source.tensors("predictions", run)[split]
            right = own.in_own_units(part.y)
            if task == "classification":
                return float(sk.accuracy_score(right, outputs.argmax(axis=1), sample_weight=part.weights))
            return -float(sk.mean_squared_error(right, outputs, sample_weight=part.weights))

        means: dict[str, list[float]] = {}
        for run in results.runs:
            if run.recipe["part"] == each.part.content():
                means.setdefault(run.config, []).append(score(run.id, "validation"))
        assert np.mean(means[each.config]) == pytest.approx(max(np.mean(some) for some in means.values()))
        tested.append(np.mean([score(run, "test") for run in each.runs]))
        assert each.test == pytest.approx(tested[-1], rel=1e-5)
        (row,) = (row for row in results.metrics().folds if (row.rule, row.part) == (each.rule, each.part))
        name = "weighted_accuracy" if task == "classification" else "weighted_mse"
        assert row.test[name] == pytest.approx(abs(tested[-1]), rel=1e-5)
    (rule,) = results.verdict.rules
    assert rule.test == pytest.approx(np.mean(tested), rel=1e-5)
    assert "weighted" in results.verdict.measure.name


def test_any_metric_and_the_errors_of_numbers_have_the_weights_of_each_folds_examples(tmp_path: Path) -> None:
    """Folds of 23 and 22 examples: those of one are no weights of another."""
    keys = {"weights": W[:113], "weight_scores": True, "split": {"folds": 5}}
    shared = {
        "model": "mlp",
        "steps": 10,
        "batch_size": 16,
        "seeds": 1,
        "rules": [{"kind": "adam", "lr": 0.05}],
    }
    data = from_arrays(X[:113], ANSWERS["classification"][:113], **keys)
    study = ravine.Study(name="auc", data=data, metric="roc_auc", **shared)
    results = ravine.run(study, store=tmp_path / "runs", quiet=True)
    assert results.folds is not None
    assert len({len(data.folds.of(each.part).test) for each in results.folds.chosen}) == 2
    for each in results.folds.chosen:
        own = data.folds.of(each.part).test
        z = results.source.tensors("predictions", each.runs[0])["test"].astype(np.float64)
        auc = sk.roc_auc_score(own.y, z[:, 1] - z[:, 0], sample_weight=own.weights)
        assert each.test == pytest.approx(auc, rel=1e-6)
    data = from_arrays(X[:113], ANSWERS["regression"][:113], task="regression", **keys)
    results = ravine.run(
        ravine.Study(name="r2", data=data, metric="r2", **shared), store=tmp_path / "runs", quiet=True
    )
    assert results.folds is not None
    mae = []
    for each in results.folds.chosen:
        own = data.folds.of(each.part)
        found = results.source.tensors("predictions", each.runs[0])["test"]
        right = own.in_own_units(own.test.y)
        mae.append(sk.mean_absolute_error(right, found, sample_weight=own.test.weights))
        assert each.test == pytest.approx(sk.r2_score(right, found, sample_weight=own.test.weights), rel=1e-4)
    assert results.test_errors["adam"].mae == pytest.approx(np.mean(mae), rel=1e-5)


def test_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [f"{x:.3f},{w:.4f},{y}" for (x, *_), w, y in zip(X, W, ANSWERS["classification"], strict=True)]
    path.write_text("a,w,y\n" + "\n".join(rows) + "\n")
    spec = {"kind": "csv", "path": str(path), "target": "y", "weight": "w", "weight_scores": True}
    data = load(parse_data({**spec, "split": {"folds": 4}}))
    assert data.folds is not None
    part = next(iter(data.folds.sizes))
    assert data.folds.of(part).test.weights == pytest.approx(W[data.folds.rows[part]], abs=1e-4)
