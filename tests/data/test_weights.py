"""Weights of examples: read from a column or an array, cut with their examples, and refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ravine import Study
from ravine.data import Dataset, from_arrays, load, parse_data
from ravine.data.parts import PartOf, part_of
from ravine.errors import DataError, InputError
from ravine.study import runs_of

NUM = 40
X = np.arange(2.0 * NUM).reshape(NUM, 2) % 7
Y = np.arange(NUM) % 2
W = (1.0 + np.arange(NUM)).astype(np.float32)


def table(folder: Path, weights: list[object], name: str = "t.csv", **keys: Any) -> Dataset:
    lines = ["a,b,w,y"]
    lines += [f"{a},{b},{w},{'yes' if y else 'no'}" for (a, b), w, y in zip(X, weights, Y, strict=True)]
    (folder / name).write_text("\n".join(lines) + "\n")
    spec = {
        "kind": "csv",
        "path": str(folder / name),
        "target": "y",
        "weight": "w",
        "normalize": "none",
        **keys,
    }
    return load(parse_data(spec))


def pairs(data: Dataset) -> set[tuple[float, ...]]:
    """Rows with their weights, of what is learned from."""
    found = set()
    for part in (data.train, data.validation):
        assert part.weights is not None
        for row, weight in zip(part.x, part.weights, strict=True):
            found.add((*row.tolist(), float(weight)))
    return found


def test_a_column_is_weights_and_no_feature(tmp_path: Path) -> None:
    data = table(tmp_path, list(W))
    assert data.features == ("a", "b")
    assert data.test.weights is None
    wanted = {(*x.tolist(), float(w)) for x, w in zip(X, W, strict=True)}
    assert pairs(data) < wanted
    assert len(pairs(data)) == len(data.train) + len(data.validation)


def test_arrays_have_weights_beside_them(tmp_path: Path) -> None:
    data = from_arrays(X, Y, weights=W, normalize="none")
    wanted = {(*x.tolist(), float(w)) for x, w in zip(X, W, strict=True)}
    assert pairs(data) < wanted
    np.savez(tmp_path / "a.npz", x=X, y=Y, w=W)
    archive = load(parse_data({"kind": "npz", "path": str(tmp_path / "a.npz"), "weight": "w"}))
    np.testing.assert_array_equal(archive.train.weights, data.train.weights)
    data = from_arrays(X, Y, weights=W)
    study = Study(name="s", data=(X, Y), weights=W, model="mlp", steps=1, rules=["adam"])
    assert isinstance(study.data, Dataset)
    assert study.data.fingerprint == data.fingerprint


def test_dropped_rows_drop_their_weights(tmp_path: Path) -> None:
    text = (tmp_path / "t.csv").write_text
    text("a,b,w,y\n" + "\n".join(f"{'' if i % 7 == 3 else i},1,{i},{i % 2}" for i in range(NUM)) + "\n")
    spec = {
        "kind": "csv",
        "path": str(tmp_path / "t.csv"),
        "target": "y",
        "weight": "w",
        "missing": "drop",
        "normalize": "none",
    }
    for row in pairs(load(parse_data(spec))):
        assert row[0] == row[-1]


def test_a_test_file_needs_no_weights(tmp_path: Path) -> None:
    table(tmp_path, list(W))
    (tmp_path / "test.csv").write_text("a,b,y\n1,2,yes\n3,4,no\n")
    data = table(tmp_path, list(W), test_path=str(tmp_path / "test.csv"))
    assert len(data.test) == 2
    assert data.train.weights is not None


def test_the_fingerprint_has_weights_where_they_are_given() -> None:
    plain, ones = from_arrays(X, Y), from_arrays(X, Y, weights=np.ones(NUM))
    others = from_arrays(X, Y, weights=W)
    assert len({each.fingerprint for each in (plain, ones, others)}) == 3
    assert ones.train.weights is not None
    assert plain.train.weights is None


def test_parts_of_a_training_set_have_their_weights() -> None:
    data = from_arrays(
        np.arange(100.0)[:, None], np.arange(100) % 2, weights=np.arange(100.0), normalize="none"
    )
    part = part_of(data, PartOf(per_class=10, draw=1))
    np.testing.assert_array_equal(part.train.x[:, 0], part.train.weights)
    both = part.train.followed_by(part.validation)
    np.testing.assert_array_equal(both.x[:, 0], both.weights)


def test_every_fold_has_the_weights_of_its_examples() -> None:
    x = np.arange(100.0)[:, None]
    keys: dict[str, Any] = {"y": np.arange(100) % 2, "normalize": "none", "split": {"folds": 4}}
    data, plain = from_arrays(x, weights=x[:, 0], **keys), from_arrays(x, **keys)
    assert data.folds is not None
    assert plain.fingerprint != data.fingerprint
    for fold in data.folds.sizes:
        train = data.folds.make(fold).train
        np.testing.assert_array_equal(train.x[:, 0], train.weights)


WRONG: list[tuple[list[object], dict[str, Any], str]] = [
    ([-1, *W[1:]], {}, r".*t.csv, line 2: column 'w' is -1; a weight is a finite number of at least 0"),
    (["", *W[1:]], {}, r".*t.csv, line 2: column 'w' is empty or no number"),
    (
        ["heavy", *W[1:]],
        {},
        r".*t.csv, line 2: column 'w' is 'heavy'; weights must be numbers of at least 0$",
    ),
    ([*W[:9], *"x" * 31], {}, r".*t.csv, line 11: column 'w' is 'x'; weights must be numbers of at least 0$"),
    ([*W[:9], "-", *W[10:]], {}, r".*t.csv, line 11: column 'w' is empty or no number"),
    (
        ['"2,5"'] * NUM,
        {},
        r".*t.csv, line 2: column 'w': '2,5' is a number with a decimal comma; say decimal = ",
    ),
    (
        ["1e39", *W[1:]],
        {},
        r".*t.csv, line 2: column 'w' is 1e\+39; a weight is .* 0 that fits into float32$",
    ),
    (
        list(W),
        {"categorical": ["w"]},
        r".*t.csv: weight = 'w' is in categorical; weights are numbers: take it out",
    ),
    ([0] * NUM, {}, r".*t.csv: all 24 weights of the training part are 0: nothing to learn"),
    (list(W), {"weight": "v"}, r".*t.csv: weight = 'v' is not a column; allowed: a, b, w, y"),
    (list(W), {"weight": "y"}, r".*t.csv: weight = 'y' is the target; name another column"),
    (list(W), {"weight": "b", "split": {"group": "b"}}, r".*t.csv: weight = 'b' is the split.group"),
]


@pytest.mark.parametrize(
    ("weights", "keys", "words"), WRONG, ids=lambda each: each if isinstance(each, str) else ""
)
def test_what_is_no_weight_is_refused_in_a_line(
    tmp_path: Path, weights: list[object], keys: dict[str, Any], words: str
) -> None:
    with pytest.raises(DataError, match=f"^{words}") as found:
        table(tmp_path, weights, **keys)
    assert "\n" not in str(found.value)


GIVEN: list[tuple[Any, str]] = [
    (W[:-1], r"arrays: weights has shape \(39,\), x has 40 examples; one for each is needed"),
    (-W, "arrays, x, row 0: its weight is -1; a weight is"),
    (np.where(np.arange(NUM) == 3, np.nan, W), "arrays, x, row 3: its weight is empty or no number"),
    (np.where(np.arange(NUM) == 3, np.inf, W), "arrays, x, row 3: its weight is inf"),
    (np.zeros(NUM), "arrays: all 24 weights of the training part are 0"),
    (1e-40 * W, "arrays: the largest weight of the training part is [0-9.]+e-39; allowed: 1e-30 or more"),
    (
        [*W[:5].tolist(), "x", *W[6:].tolist()],
        "arrays, x, row 0: its weight is '1.0'; weights must be numbers",
    ),
    (
        np.array([*W[:5], "x", *W[6:]], object),
        "arrays, x, row 5: its weight is 'x'; weights must be numbers of",
    ),
    (np.array([None, *W[1:]], object), "arrays, x, row 0: its weight is empty or no number"),
    (W.astype(complex), "arrays: weights has no numbers, but complex"),
]


@pytest.mark.parametrize(("weights", "words"), GIVEN, ids=lambda each: each if isinstance(each, str) else "")
def test_arrays_that_are_no_weights_are_refused_in_a_line(weights: Any, words: str) -> None:
    with pytest.raises(DataError, match=f"^{words}"):
        from_arrays(X, Y, weights=weights)


def test_weights_of_an_archive_are_called_by_its_key(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=Y, w=W[:-1])
    with pytest.raises(DataError, match=r"a\.npz: weight = 'w' has shape \(39,\), x has 40 examples"):
        load(parse_data({"kind": "npz", "path": str(tmp_path / "a.npz"), "weight": "w"}))


def test_a_weight_column_is_no_feature_whether_it_is_dropped_or_not(tmp_path: Path) -> None:
    plain, dropped = table(tmp_path, list(W)), table(tmp_path, list(W), drop=["w"])
    assert plain.fingerprint == dropped.fingerprint
    assert dropped.train.weights is not None


def test_a_column_of_numbers_as_objects_is_weights() -> None:
    data = from_arrays(X, Y, weights=np.array(W.tolist(), object))
    np.testing.assert_array_equal(data.train.weights, from_arrays(X, Y, weights=W).train.weights)


def test_a_study_gives_scores_the_weights_of_its_arrays() -> None:
    keys: dict[str, Any] = {"name": "s", "model": "mlp", "steps": 1, "rules": ["adam"]}
    found = Study(data=(X, Y), weights=W, weight_scores=True, **keys).data
    assert isinstance(found, Dataset)
    assert found.fingerprint == from_arrays(X, Y, weights=W, weight_scores=True).fingerprint
    pairs_of = list(zip(X.astype(np.float32), Y.tolist(), strict=True))
    found = Study(data=Pairs(pairs_of), weights=W, weight_scores=True, **keys).data
    assert isinstance(found, Dataset)
    assert found.score_weights is not None
    for data, weights, words in (
        (
            (X, Y),
            None,
            r"^weight_scores: needs weights= beside arrays \(x, y\); a table has a key of its own",
        ),
        ("iris", None, r"^weight_scores: needs weights= beside arrays"),
        (
            {"kind": "csv", "path": "t.csv", "target": "y"},
            None,
            r"^weight_scores: needs .* data.weight_scores",
        ),
    ):
        with pytest.raises(InputError, match=words):
            Study(data=data, weights=weights, weight_scores=True, **keys)
    with pytest.raises(InputError, match=r"^weight_scores = 'yes': must be True or False"):
        Study(data=(X, Y), weights=W, weight_scores="yes", **keys)  # type: ignore[arg-type]
    none = np.where(np.isin(np.arange(NUM), _rows_of("validation")), 0, W)
    with pytest.raises(
        DataError, match=r"^arrays: all 8 weights of the validation part are 0: nothing to score$"
    ):
        Study(data=(X, Y), weights=none, weight_scores=True, **keys)


class Pairs:
    """A data set as PyTorch has them."""

    def __init__(self, pairs: list[tuple[np.ndarray, int]]) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, at: int) -> tuple[np.ndarray, int]:
        return self.pairs[at]


def _rows_of(split: str) -> np.ndarray:
    data = from_arrays(np.arange(NUM)[:, None], Y, normalize="none")
    return getattr(data, split).x[:, 0].astype(int)


def test_weights_belong_to_arrays_and_are_not_mixed() -> None:
    keys: dict[str, Any] = {"name": "s", "model": "mlp", "steps": 1, "rules": [{"kind": "sgd", "lr": 0.1}]}
    with pytest.raises(InputError, match=r"^weights: are of arrays"):
        Study(data="iris", weights=W, **keys)
    study = Study(data=(X, Y), weights=W, augment={"mixup": 0.2}, **keys)
    with pytest.raises(InputError, match=r"^augment.mixup: not with weights of examples"):
        runs_of(study, study.data)  # type: ignore[arg-type]


def test_test_has_weights_where_scores_have_them(tmp_path: Path) -> None:
    data = table(tmp_path, list(W), weight_scores=True)
    plain = table(tmp_path, list(W))
    assert plain.score_weights is None
    assert data.score_weights is not None
    assert plain.fingerprint != data.fingerprint
    arrays = from_arrays(W[:, None], Y, weights=W, weight_scores=True, normalize="none")
    assert arrays.score_weights is not None
    for part, found in zip((arrays.validation, arrays.test), arrays.score_weights, strict=True):
        np.testing.assert_array_equal(part.x[:, 0], found)
    np.savez(tmp_path / "a.npz", x=W[:, None], y=Y, w=W)
    spec = {"kind": "npz", "path": str(tmp_path / "a.npz"), "weight": "w", "weight_scores": True}
    np.testing.assert_array_equal(load(parse_data(spec)).test.weights, arrays.test.weights)


def test_other_weights_of_test_are_other_data() -> None:
    changed = W.copy()
    rows = from_arrays(np.arange(NUM)[:, None], Y, normalize="none").test.x[:, 0].astype(int)
    changed[rows] += 1
    one, other = (from_arrays(X, Y, weights=w, weight_scores=True).fingerprint for w in (W, changed))
    assert one != other
    assert from_arrays(X, Y, weights=W).fingerprint == from_arrays(X, Y, weights=changed).fingerprint


def test_a_test_file_has_weights_of_its_own_where_scores_have_them(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("a,b,y,w\n1,2,yes,5\n3,4,no,6\n")
    data = table(tmp_path, list(W), test_path=str(tmp_path / "test.csv"), weight_scores=True)
    np.testing.assert_array_equal(data.test.weights, [5, 6])
    (tmp_path / "test.csv").write_text("a,b,y\n1,2,yes\n3,4,no\n")
    with pytest.raises(DataError, match=r".*test.csv: weight = 'w' is not a column; allowed: a, b, y$"):
        table(tmp_path, list(W), test_path=str(tmp_path / "test.csv"), weight_scores=True)


def test_scores_without_weights_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^arrays: weight_scores = true needs weights, which says how much"):
        from_arrays(X, Y, weight_scores=True)
    with pytest.raises(InputError, match=r"^data: weight_scores = true needs weight, which says how much"):
        parse_data({"kind": "csv", "path": "t.csv", "target": "y", "weight_scores": True})
    with pytest.raises(DataError, match=r"^arrays: weight_scores, x_test: only one of them; weights are of"):
        from_arrays(X, Y, x_test=X, y_test=Y, weights=W, weight_scores=True)
    with pytest.raises(
        DataError, match=r"^arrays: weight_scores, 2 targets: only one of them; errors of several"
    ):
        from_arrays(X, X + 0.5, weights=W, weight_scores=True)
    rows = from_arrays(np.arange(NUM)[:, None], Y, normalize="none").test.x[:, 0].astype(int)
    none = W.copy()
    none[rows] = 0
    with pytest.raises(DataError, match=r"^arrays: all 8 weights of the test part are 0: nothing to score$"):
        from_arrays(X, Y, weights=none, weight_scores=True)
