"""Names of classes and levels: every digit of them, from every container, and never two under one name."""

from decimal import Decimal

import numpy as np
import pytest
import torch

from ravine.data import from_arrays, from_torch_dataset, load, parse_data
from ravine.errors import DataError

BIG = (2**60, 2**60 + 1, 2**61)
WHICH = np.arange(90) % 3
X = np.random.default_rng(0).normal(size=(90, 2))
NAMES = tuple(map(str, BIG))
OBJECTS = [BIG[i] for i in WHICH.tolist()]


def indices(data):
    """How many examples each class has."""
    return np.bincount(np.concatenate([part.y for part in (data.train, data.validation, data.test)])).tolist()


class Items:
    def __init__(self, ys):
        self.ys = ys

    def __len__(self):
        return len(self.ys)

    def __getitem__(self, index):
        return X[index], self.ys[index]


@pytest.mark.parametrize(
    "y",
    [
        np.array(BIG)[WHICH],
        np.array(BIG, dtype=np.uint64)[WHICH],
        np.array(BIG)[WHICH][:, None],
        np.array(OBJECTS, dtype=object),
        OBJECTS,
        tuple(OBJECTS),
        [Decimal(value) for value in OBJECTS],
        [np.uint64(value) for value in OBJECTS],
        [torch.tensor(value) for value in OBJECTS],
        torch.tensor(OBJECTS),
        torch.tensor(BIG, dtype=torch.uint64)[WHICH],
        np.ma.masked_array(OBJECTS, mask=False),
    ],
)
def test_whole_numbers_beyond_floats_are_classes_of_their_own(y):
    data = from_arrays(X, y)
    assert data.classes == NAMES
    assert indices(data) == [30, 30, 30]
    assert from_torch_dataset(Items(y)).classes == NAMES if not isinstance(y, torch.Tensor) else True


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ((2**64, 2**64 + 1, 2**80), ("18446744073709551616", "18446744073709551617", str(2**80))),
        ((10**50 + 1, 10**50, -(10**50)), (str(-(10**50)), str(10**50), str(10**50 + 1))),
        ((-1, 2**63, 2**63 + 1), ("-1", str(2**63), str(2**63 + 1))),
        ((np.int64(-1), np.uint64(2**63 + 1), np.uint64(2**63)), ("-1", str(2**63), str(2**63 + 1))),
        ((1, True, 2), ("1", "2")),
        (("a", 1, 2.5), ("1", "2.5", "a")),
    ],
)
def test_python_numbers_of_any_size(values, names):
    y = [values[i] for i in WHICH.tolist()]
    assert from_arrays(X, y).classes == names


def test_a_number_that_python_does_not_write_names_no_class():
    with pytest.raises(DataError, match=r"^an int too large to show, so it cannot name a class or a level"):
        from_arrays(np.zeros((20, 2)), [10**5000] * 10 + [1] * 10)


def test_what_stands_beside_whole_numbers_rounds_none():
    signed, unsigned = np.array([5, -1, 2**60 + 1])[WHICH], np.array([5, 2**60, 2**60 + 1], np.uint64)[WHICH]
    with pytest.raises(DataError, match=r"^arrays: class '1152921504606846976' has no training example"):
        from_arrays(X, signed, x_test=X, y_test=unsigned)
    with pytest.raises(DataError, match=r"target 'y' is missing \(NaN or None; 1 in all\)"):
        from_arrays(X, [None, *OBJECTS[1:]])


def csv(tmp_path, labels, **options):
    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "".join(f"{i * i},{labels[i % len(labels)]}\n" for i in range(90)))
    return load(parse_data({"kind": "csv", "path": str(path), "target": "y", **options}))


@pytest.mark.parametrize(
    ("labels", "classes", "note"),
    [
        (BIG, NAMES, None),
        ((2**70, 2**70 + 1), (str(2**70), str(2**70 + 1)), None),
        ((10, 9, 8), ("8", "9", "10"), None),
        (("+1", "-1"), ("-1", "1"), None),
        (("1.0", "2.50"), ("1", "2.5"), None),
        (("01", "1", "2"), ("01", "1", "2"), "'01' and '1' are two classes"),
        (("10", "02", "1"), ("1", "02", "10"), "'02' keeps its zero"),
        (("1", "1.0", "2"), ("1", "1.0", "2"), "'1' and '1.0' are two classes"),
        (("1e3", "1000"), ("1000", "1e3"), "'1000' and '1e3' are two classes"),
        (("+1", "1", "2"), ("+1", "1", "2"), "'+1' and '1' are two classes"),
        (("0.1", "0.10000000000000000001"), ("0.1", "0.10000000000000000001"), "'0.1' and '0.1000000000"),
        (("007", "008"), ("007", "008"), "'007' keeps its zero"),
        (("a01", "a1"), ("a01", "a1"), None),
    ],
)
def test_labels_of_a_file(tmp_path, labels, classes, note):
    data = csv(tmp_path, labels, task="classification")
    assert data.classes == classes
    found = [line for line in data.notes if line.startswith("target 'y': its labels are texts as written")]
    assert len(found) == (note is not None)
    assert note is None or note in found[0]


def test_the_target_may_be_said_to_be_names(tmp_path):
    data = csv(tmp_path, ("NA", "1", "01"), categorical=["y"])
    assert data.classes == ("01", "1", "NA")
    assert "column 'y' is in categorical: 'NA' is a name in it, not an empty cell" in data.notes


def test_levels_keep_every_digit_too(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    kinds = {
        "int64": pyarrow.array(OBJECTS),
        "uint64": pyarrow.array(OBJECTS, pyarrow.uint64()),
        "decimal": pyarrow.array([Decimal(value) for value in OBJECTS]),
        "dictionary": pyarrow.array(OBJECTS).dictionary_encode(),
        "holes": pyarrow.array([None, *OBJECTS[1:]]),
    }
    for name, column in kinds.items():
        parquet.write_table(
            pyarrow.table({"a": X[:, 0], "code": column, "y": column}), tmp_path / "t.parquet"
        )
        spec = {"kind": "parquet", "path": str(tmp_path / "t.parquet"), "target": "y", "missing": "drop"}
        data = load(parse_data({**spec, "categorical": ["code"]}))
        assert data.classes == NAMES, name
        assert data.features == ("a", *(f"code={label}" for label in NAMES)), name


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["Cat", "cat", "dog"], "'Cat' and 'cat' are two classes, though they differ only in capitals"),
        (["True", "true", "no"], "'True' and 'true' are two classes, though they differ only in capitals"),
        (
            ["cat", "cat\u200b", "dog"],
            r"'cat' and 'cat\u200b' are two classes, though they differ only in signs",
        ),
        (
            ["caf\u00e9", "cafe\u0301", "tea"],
            r"'cafe\u0301' and 'caf\xe9' are two classes, though they differ",
        ),
        (["a b", "a\u00a0b", "c"], r"'a b' and 'a\xa0b' are two classes, though they differ only in signs"),
    ],
)
def test_labels_that_look_alike_are_noted(labels, said):
    data = from_arrays(np.random.default_rng(0).normal(size=(90, 2)), np.array(labels)[np.arange(90) % 3])
    assert len(data.classes) == 3
    assert any(said in note for note in data.notes)
