"""Predictions of every example by networks that have not learned from it, put together by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

import ravine
from ravine.data import from_arrays
from ravine.errors import InputError

FOLDS, REPEATS, SEEDS, N = 3, 2, 2, 90
RNG = np.random.default_rng(4)
X = RNG.standard_normal((N, 3))
Y = np.where(X[:, 0] > 0, "yes", "no")


def _run(folder: Path, name: str, y: Any, **data: Any) -> ravine.Results:
    study = ravine.Study(
        name=name,
        data=from_arrays(X, y, **{"split": {"folds": FOLDS, "repeats": REPEATS}, **data}),
        model={"kind": "mlp", "hidden": [4]},
        steps=20,
        batch_size=16,
        seeds=SEEDS,
        rules=[{"kind": "adam", "lr": [0.003, 0.05]}, {"kind": "sgd", "lr": 0.1}],
    )
    return ravine.run(study, store=folder, quiet=True)


def _mean(results: ravine.Results, rule: str, made: Any) -> np.ndarray:
    """The mean of what is made of each network's outputs, example by example in the order of the data."""
    assert results.data is not None
    assert results.data.folds is not None
    assert results.folds is not None
    total, times = None, np.zeros(N)
    for each in results.folds.of(rule):
        own = results.data.folds.of(each.part)
        rows = [int(own.place("test", i).rpartition(" ")[2]) for i in range(len(own.test))]
        for run in each.runs:
            values = made(results.source.tensors("predictions", run)["test"].astype(np.float64))
            total = np.zeros((N, *values.shape[1:])) if total is None else total
            total[rows] += values
            times[rows] += 1
    assert set(times) == {REPEATS * SEEDS}
    assert total is not None
    return total / (REPEATS * SEEDS)


def _softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: np.ndarray = odds / odds.sum(axis=1, keepdims=True)
    return found


def test_of_classes(tmp_path: Path) -> None:
    results = _run(tmp_path, "classes", Y)
    found = ravine.out_of_fold(results, rule="adam")
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities, _mean(results, "adam", _softmax), rtol=1e-12)
    assert [found.names[each] for each in found.answers] == Y.tolist()
    np.testing.assert_array_equal(found.numbers, np.arange(N))
    np.testing.assert_array_equal(found.predicted, found.probabilities.argmax(axis=1))
    assert found.num_networks == REPEATS * SEEDS
    assert accuracy_score(found.answers, found.predicted) > 0.7
    row = found.table()[5]
    assert row["example"] == 5
    assert row["answer"] == Y[5]
    assert row.keys() == {"example", "answer", "predicted", "p no", "p yes"}
    assert results.out_of_fold().rule == results.verdict.best
    assert "90 examples of classes, each by 4 networks of adam" in repr(found)


def test_of_numbers_and_labels(tmp_path: Path) -> None:
    results = _run(tmp_path, "numbers", X[:, 0] * 5 + RNG.standard_normal(N), task="regression")
    found = results.out_of_fold(rule="sgd")
    assert found.probabilities is None
    np.testing.assert_allclose(found.predicted, _mean(results, "sgd", lambda values: values), rtol=1e-10)
    assert list(found.table()[0]) == ["example", "answer", "predicted"]
    marks = np.stack([X[:, 0] > 0, X[:, 1] > 0.5], axis=1).astype(int)
    several = _run(tmp_path, "marks", marks, task="multilabel")
    of_labels = several.out_of_fold(rule="adam")
    assert of_labels.probabilities is not None
    wanted = _mean(several, "adam", lambda logits: 1 / (1 + np.exp(-logits)))
    np.testing.assert_allclose(of_labels.probabilities, wanted, rtol=1e-10)
    np.testing.assert_array_equal(of_labels.answers, marks)
    assert len(of_labels.table()[0]) == 1 + 3 * 2


def test_bad_input(tmp_path: Path) -> None:
    results = _run(tmp_path, "bad", Y)
    with pytest.raises(InputError, match="study 'bad': its data are not at hand"):
        replace(results, data=None).out_of_fold()
    with pytest.raises(InputError, match="rule 'adm': the study has none of that name"):
        results.out_of_fold(rule="adm")
    with pytest.raises(
        InputError, match="study 'one' has no folds, so most of its examples were learned from"
    ):
        _run(tmp_path, "one", Y, split=None).out_of_fold()


def test_why_the_data_cannot_be_read_again_is_said(tmp_path: Path) -> None:
    rows = [f"{a:.3f},{'ny'[i % 2]}" for i, a in enumerate(np.random.default_rng(0).normal(size=30))]
    file = tmp_path / "some.csv"
    file.write_text("\n".join(["a,y", *rows]))
    data = {"kind": "csv", "path": str(file), "target": "y", "split": {"folds": 3}}
    study = ravine.Study(name="moved", data=data, model="mlp", steps=2, seeds=1, rules=["adam"])
    store = tmp_path / "moved"
    ravine.run(study, store=store, quiet=True)
    assert len(ravine.out_of_fold("moved", store=store).answers) == 30
    file.write_text("\n".join(["a,y", *rows[::-1]]))
    with pytest.raises(InputError, match="study 'moved': its data are not those of its runs any more"):
        ravine.out_of_fold("moved", store=store)
    file.unlink()
    with pytest.raises(InputError, match=r"some\.csv"):
        ravine.out_of_fold("moved", store=store)
