"""Several columns to predict, labels that a column names, and how examples with labels are dealt."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ravine.data import from_arrays, load, parse_data
from ravine.data.deal_labels import deal_labels
from ravine.data.fresh_files import fresh
from ravine.data.preparation import Preparation
from ravine.data.several import LabelsTarget, NumbersTarget
from ravine.errors import DataError, StudyError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
LABELS = (RNG.random((60, 4)) < [0.5, 0.3, 0.2, 0.1]).astype(int)
LABELS[:4] = np.eye(4, dtype=int)
VALUES = X @ RNG.normal(size=(3, 2)) * [1.0, 1000.0] + [0.0, 5e3]


def table(path: Path, columns: dict[str, Any]) -> str:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return str(path)


def spec(tmp_path: Path, columns: dict[str, Any], **keys: Any) -> Any:
    path = table(tmp_path / "t.csv", {"x0": X[:, 0], "x1": X[:, 1], **columns})
    return load(parse_data({"kind": "csv", "path": path, **keys}))


def test_several_numbers_are_standardized_each_by_itself() -> None:
    data = from_arrays(X, VALUES)
    assert (data.task, data.num_outputs, data.targets, data.classes) == ("regression", 2, ("y0", "y1"), ())
    assert data.train.y.dtype == np.float32
    np.testing.assert_allclose(data.train.y.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(data.train.y.std(axis=0), 1.0, rtol=1e-6)
    np.testing.assert_allclose(
        np.sort(
            np.concatenate([data.in_own_units(each.y) for each in (data.train, data.validation, data.test)]),
            0,
        ),
        np.sort(VALUES, axis=0),
        rtol=1e-5,
        atol=1e-6,
    )
    assert data.loss_unit == 1.0


def test_the_names_of_targets_are_in_the_fingerprint_and_one_target_keeps_its_own() -> None:
    frame = pd.DataFrame(VALUES, columns=["a", "b"])
    names = [from_arrays(X, frame.rename(columns={"b": name})).fingerprint for name in ("b", "c")]
    assert names[0] != names[1]
    single = from_arrays(X, VALUES[:, 1])
    assert single.fingerprint == from_arrays(X, VALUES[:, 1:]).fingerprint
    assert isinstance(single.target_mean, float)
    assert single.fingerprint == from_arrays(X, list(VALUES[:, 1])).fingerprint


def test_columns_of_0_and_1_are_labels_and_one_hot_ones_are_classes_with_a_note() -> None:
    data = from_arrays(X, LABELS, class_names=["a", "b", "c", "d"])
    assert (data.task, data.classes, data.num_outputs) == ("multilabel", ("a", "b", "c", "d"), 4)
    assert set(np.unique(data.train.y)) == {0.0, 1.0}
    assert data.in_own_units(data.train.y).dtype == np.int64
    hot = from_arrays(X, np.eye(3, dtype=int)[RNG.integers(0, 3, 60)], class_names=["a", "b", "c"])
    assert (hot.task, hot.classes) == ("classification", ("a", "b", "c"))
    assert "exactly one 1 in each row" in hot.notes[0]
    said = from_arrays(X, np.eye(3, dtype=int)[RNG.integers(0, 3, 60)], task="multilabel")
    assert said.task == "multilabel"
    assert from_arrays(X, LABELS, task="regression").task == "regression"
    assert from_arrays(X, LABELS.astype(bool)).fingerprint == from_arrays(X, LABELS).fingerprint


def test_labels_that_a_column_names_are_sorted_and_may_be_none(tmp_path: Path) -> None:
    names = np.array(["sea", "air", "land", "fire"])
    cells = ["; ".join(names[row == 1]) for row in LABELS]
    data = spec(tmp_path, {"tags": cells}, target="tags", separator=";")
    assert data.classes == ("air", "fire", "land", "sea")
    assert f"{(LABELS.sum(1) == 0).sum()} examples have no label" in data.notes
    target = data.preparation.target
    assert isinstance(target, LabelsTarget)
    np.testing.assert_array_equal(target.apply(["land;air", ""]), [[1, 0, 1, 0], [0, 0, 0, 0]])
    assert target.undo([[1, 0, 1, 0], [0, 0, 0, 0]]) == ("air;land", "")
    with pytest.raises(
        DataError, match=r"^y, row 0: .* a label that training did not know; allowed: air, fire, land"
    ):
        target.apply(["moon"])
    with pytest.raises(DataError, match=r"^y, row 1: label 'fire' must be 0 or 1$"):
        LabelsTarget(names=data.classes).apply([[0, 1, 0, 1], [1, 2, 0, 0]])


def test_true_and_false_are_1_and_0(tmp_path: Path) -> None:
    words = {name: ["True" if each else "False" for each in LABELS[:, at]] for at, name in enumerate("abcd")}
    numbers = {name: LABELS[:, at] for at, name in enumerate("abcd")}
    targets = {"target": list("abcd")}
    assert spec(tmp_path, words, **targets).fingerprint == spec(tmp_path, numbers, **targets).fingerprint


@pytest.mark.parametrize("y", [VALUES, LABELS])
def test_a_preparation_comes_back_as_it_was(y: np.ndarray) -> None:
    data = from_arrays(X, y)
    again = Preparation.of(data.preparation.content())
    assert again == data.preparation
    assert (again.task, again.num_outputs) == (data.task, data.num_outputs)
    learned = again.target.apply(y)
    if isinstance(again.target, NumbersTarget):
        np.testing.assert_allclose(again.target.undo(learned), y, rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_array_equal(learned, y)


def test_every_split_has_its_share_of_every_label() -> None:
    """Sechidis et al. measure the mean deviation of the labels' shares; here each is within an example or two."""
    rng = np.random.default_rng(1)
    labels = (rng.random((400, 6)) < [0.5, 0.3, 0.2, 0.1, 0.05, 0.02]).astype(np.int64)
    marks = np.zeros(400, dtype=np.int8)
    options = {"name": "t", "validation": 0.2, "test": 0.2, "seed": 3}
    splits = deal_labels(labels, tuple("abcdef"), marks, **options)  # type: ignore[arg-type]
    rows = (splits.train, splits.validation, splits.test)
    assert [len(each) for each in rows] == [240, 80, 80]
    assert np.array_equal(np.sort(np.concatenate(rows)), np.arange(400))
    for each, share in zip(rows, (0.6, 0.2, 0.2), strict=True):
        assert np.abs(labels[each].sum(axis=0) - share * labels.sum(axis=0)).max() <= 2
    again = deal_labels(labels, tuple("abcdef"), marks, **options)  # type: ignore[arg-type]
    assert np.array_equal(again.test, splits.test)
    other = deal_labels(labels, tuple("abcdef"), marks, **{**options, "seed": 4})  # type: ignore[arg-type]
    assert not np.array_equal(other.test, splits.test)
    few = deal_labels(labels, tuple("abcdef"), marks, **options, limit=60)  # type: ignore[arg-type]
    assert len(few.train) == 60
    assert np.isin(few.train, splits.train).all()
    assert np.abs(labels[few.train].sum(axis=0) - 0.15 * labels.sum(axis=0)).max() <= 2


COLUMNS: dict[str, Any] = {
    "a": LABELS[:, 0],
    "b": LABELS[:, 1],
    "v": VALUES[:, 0].round(3),
    "w": VALUES[:, 1].round(3),
}
COLUMNS |= {"t": ["red", "blue"] * 30, "two": [2, *LABELS[1:, 2]], "gap": ["", *LABELS[1:, 2]]}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"target": ["a", "two"]}, "line 2: target 'two' is 2, and target 'a' is 0 or 1 everywhere"),
        ({"target": ["a", "two"], "task": "multilabel"}, "target 'two' is 2; a label must be 0 or 1"),
        ({"target": ["a", "v"]}, 'if these are numbers, say task = "regression"'),
        ({"target": ["v", "t"]}, "target 't' is 'red', and target 'v' is numbers"),
        ({"target": ["t", "t2"]}, "target 't2' is not a column"),
        ({"target": ["a", "gap"]}, "column 'gap' is empty"),
        ({"target": ["v", "w"], "drop": ["w"]}, "column 'w' is a target, it cannot be in drop too"),
        ({"target": ["v", "w"], "categorical": ["w"]}, "categorical 'w' is a target column"),
        (
            {"target": ["a", "b"], "task": "classification"},
            "classes in columns of 0 and 1 have exactly one 1",
        ),
        ({"target": "a", "task": "multilabel"}, 'task = "multilabel" needs several target columns'),
        ({"target": "t", "separator": ";"}, "no cell of target 't' has two labels with ';' between them"),
    ],
)
def test_what_is_refused_is_named(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    columns = {name: cells for name, cells in COLUMNS.items() if name != "gap" or name in keys["target"]}
    with pytest.raises(DataError) as error:
        spec(tmp_path, columns, **keys)
    assert message in str(error.value).replace(str(tmp_path / "t.csv") + ", ", "")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"target": ["a", "a"]}, "data.target = ['a', 'a']: names column 'a' twice"),
        ({"target": []}, "data.target"),
        ({"target": ["a", "b"], "separator": ";"}, "is for one column that names labels"),
        ({"target": "a", "separator": ";", "task": "regression"}, 'must be "multilabel"'),
    ],
)
def test_a_target_that_says_two_things_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError) as error:
        parse_data({"kind": "csv", "path": "t.csv", **keys})
    assert message in str(error.value)


def test_a_label_that_training_cannot_learn_is_refused() -> None:
    never = LABELS.copy()
    never[:, 3] = 0
    with pytest.raises(DataError, match="'y3' is '0' in all 60 examples"):
        from_arrays(X, never)
    with pytest.raises(DataError, match="no training example has label 'y3'"):
        from_arrays(
            X[:30], never[:30] | [0, 0, 0, 0], x_test=X[30:], y_test=np.maximum(never[30:], [0, 0, 0, 1])
        )


def test_new_rows_have_answers_by_the_columns_of_the_target() -> None:
    data = from_arrays(X, pd.DataFrame(LABELS, columns=list("abcd")))
    found = fresh(data.preparation, (X[:3], pd.DataFrame(LABELS[:3], columns=list("abcd"))), "new")
    np.testing.assert_array_equal(found.answers, LABELS[:3])
