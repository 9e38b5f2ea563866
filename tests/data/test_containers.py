"""Masked, sparse, nested and nullable containers, and columns whose type says that they are names."""

import numpy as np
import pytest
import scipy.sparse
import torch

from ravine.data import from_arrays
from ravine.errors import DataError

X = np.random.default_rng(0).normal(size=(90, 2))
Y = np.arange(90) % 2
EMPTY = "column 'c' is empty (30 cells in all)"


def refused(x, y=Y, **options):
    with pytest.raises(DataError) as error:
        from_arrays(x, y, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.filterwarnings("ignore:The PyTorch API of MaskedTensors")
def test_masked_values_are_missing():
    mask = X > 2
    row = int(mask.any(axis=1).argmax())
    said = (
        f"arrays, x, row {row}: feature {int(mask[row].argmax())} is nan; it must be a finite float32 number"
    )
    assert refused(np.ma.masked_array(X, mask=mask)) == said
    assert refused(np.ma.masked_array((X * 9).astype(int), mask=mask)) == said
    assert refused(torch.masked.masked_tensor(torch.tensor(X), torch.tensor(~mask))) == said
    assert refused([[1.0, np.ma.masked]] * 90).startswith("arrays, x, row 0: feature 1 is nan")
    records = np.ma.masked_array(np.zeros(90, dtype=[("a", "f8"), ("b", "i4")]), mask=[(True, False)] * 90)
    assert refused(records) == "arrays: x has shape (90,); (N, features) or (N, C, H, W) is needed"
    whole = np.ma.masked_array(X, mask=False)
    assert from_arrays(whole, Y).fingerprint == from_arrays(X, Y).fingerprint
    classes = np.ma.masked_array(np.arange(90) % 3, mask=np.arange(90) % 3 == 2)
    said = "arrays, x, row 2: target 'y' is missing (NaN or None; 30 in all); leave such examples out"
    for y in (classes, classes.astype(float), classes.astype(str), list(classes), classes[:, None]):
        assert refused(X, y) == said
    bytes_ = np.ma.masked_array(np.ones((90, 4, 4), np.uint8), mask=False)
    assert from_arrays(bytes_, Y).input_shape == (1, 4, 4)
    bytes_[3, 1, 2] = np.ma.masked
    assert refused(bytes_) == "arrays, x, row 3: feature (1, 2) is nan; it must be a finite float32 number"


@pytest.mark.filterwarnings("ignore:Sparse")
def test_sparse_is_made_dense_where_there_is_room():
    dense = from_arrays(X, Y).fingerprint
    tensor = torch.tensor(X)
    kinds = [
        scipy.sparse.csr_matrix(X),
        scipy.sparse.coo_array(X),
        tensor.to_sparse(),
        tensor.to_sparse_csr(),
    ]
    for x in kinds:
        assert from_arrays(x, Y).fingerprint == dense
    wide = (90, 10**11)
    said = f"arrays: x is sparse, of shape {wide}, to be made dense: 67,055.2 GiB of memory are needed, "
    assert refused(scipy.sparse.coo_array(([1.0], ([0], [0])), shape=wide)).startswith(said)
    assert refused(torch.sparse_coo_tensor([[0], [0]], [1.0], wide)).startswith(said)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested")
def test_what_is_no_array():
    assert (
        refused([[1, 2], [3]] * 45) == "arrays: x is a list of rows of different lengths; all must be alike"
    )
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    assert refused(nested) == "arrays: x is a nested tensor; all examples must be of one shape: pad them"
    for x, kind in (("x.csv", "str"), ((row for row in X), "generator"), ({1}, "set")):
        assert refused(x) == f"arrays: x is a {kind}; an array, a tensor, a list or a data frame is needed"
    assert refused(torch.ones(90, 2, device="meta")).startswith(
        "arrays: x: a Tensor of torch.float32 on meta"
    )
    assert refused(torch.ones(90, 2, dtype=torch.complex64).conj()).startswith("arrays: x has type complex64")
    assert refused(X, ["a", float("nan")] * 45).startswith("arrays, x, row 1: target 'y' is missing")


def columns(library):
    """For each type a column of names, or of numbers, with and without missing cells."""
    if library.__name__ == "pandas":
        return {
            "category": library.Categorical([3, 1, 2] * 30),
            "ordered": library.Categorical([3, 1, 2] * 30, categories=[3, 2, 1, 9], ordered=True),
            "hole": library.Categorical([3, 1, None] * 30),
            "boolean": library.array([True, None, False] * 30, dtype="boolean"),
            "Int64": library.array([5, None, 7] * 30, dtype="Int64"),
            "Float64": library.array([5.5, None, 7] * 30, dtype="Float64"),
            "string": library.array(["u", None, "v"] * 30, dtype="string"),
        }
    return {
        "category": library.Series(["3", "1", "2"] * 30, dtype=library.Categorical),
        "ordered": library.Series(["3", "1", "2"] * 30, dtype=library.Enum(["3", "2", "1", "9"])),
        "hole": library.Series(["3", "1", None] * 30, dtype=library.Categorical),
        "boolean": library.Series([True, None, False] * 30),
        "Int64": library.Series([5, None, 7] * 30),
        "Float64": library.Series([5.5, None, 7] * 30),
        "string": library.Series(["u", None, "v"] * 30),
    }


@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_columns_are_what_their_types_say(name):
    library = pytest.importorskip(name)
    for kind, column in columns(library).items():
        frame = library.DataFrame({"a": X[:, 0], "c": column})
        data = from_arrays(frame, Y, missing="impute")
        names = {
            "category": ("a", "c=1", "c=2", "c=3"),
            "ordered": ("a", "c=1", "c=2", "c=3"),
            "hole": ("a", "c=1", "c=3", "c=missing"),
            "string": ("a", "c=missing", "c=u", "c=v"),
        }
        assert data.features == names.get(kind, ("a", "c")), kind
        if kind not in ("category", "ordered"):
            assert EMPTY in refused(frame)
            assert len(from_arrays(frame, Y, missing="drop").train) == 36


def test_a_categorical_target_is_classes():
    pandas = pytest.importorskip("pandas")
    which = (np.arange(90) % 3).tolist()
    y = pandas.Categorical([[1.5, 2.5, 10.5][i] for i in which])
    assert from_arrays(X, pandas.Series(y)).classes == ("1.5", "2.5", "10.5")
    assert from_arrays(X, pandas.DataFrame({"y": y})).classes == ("1.5", "2.5", "10.5")
    assert from_arrays(X, y, task="regression").task == "regression"
    assert from_arrays(X, pandas.cut(pandas.Series(X[:, 0]), 3)).task == "classification"


def test_dictionaries_of_arrow_are_names():
    pyarrow = pytest.importorskip("pyarrow")
    column = pyarrow.array([3, 1, None] * 30).dictionary_encode()
    table = pyarrow.table({"a": X[:, 0], "c": column})
    assert from_arrays(table, Y, missing="impute").features == ("a", "c=1", "c=3", "c=missing")
    assert from_arrays(X, pyarrow.array([3.5, 1.5] * 45).dictionary_encode()).classes == ("1.5", "3.5")


def test_two_columns_of_one_name_are_refused():
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table([X[:, 0], X[:, 1]], names=["a", "a"])
    assert refused(table) == "arrays: x has two columns named 'a'; give each a name of its own"
    pandas = pytest.importorskip("pandas")
    for names in (["a", "a"], ["a", "b", "a"], ["1", 1]):
        frame = pandas.DataFrame(X[:, [0, 1, 0][: len(names)]], columns=names)
        assert refused(frame) == f"arrays: x has two columns named '{names[0]}'; give each a name of its own"
        good = pandas.DataFrame(X, columns=["a", "b"])
        assert "x_test has two columns" in refused(good, x_test=frame, y_test=Y)


def test_names_beside_an_array_are_refused():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": X[:, 0], "c": pandas.Categorical([3, 1, 2] * 30)})
    assert refused(frame, x_test=X, y_test=Y) == (
        "arrays: x has a column of names, 'c', and is beside an array: give frames for both"
    )
