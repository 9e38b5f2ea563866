"""Data that cannot be used: for each the exact line, one line, that a person reads."""

import numpy as np
import pytest

from ravine.data import from_arrays, from_torch_dataset, load, parse_data
from ravine.errors import DataError


def lines(count=30, bad=None):
    """A good CSV file, then some lines of it replaced (by number, the header is line 1)."""
    good = [
        "size,colour,y",
        *(f"{i * 1.5},{['red', 'blue'][i % 2]},{['no', 'yes'][i // 2 % 2]}" for i in range(count)),
    ]
    for number, text in (bad or {}).items():
        good[number - 1] = text
    return "\n".join(good) + "\n"


IDS = "size,id,y\n" + "".join(f"{i * 1.5},u{i},{i % 2}\n" for i in range(30))
LEVELS = "at most 100, or half of the rows): like an identifier; put it in drop"
SAY = 'say task = "classification" or task = "regression"'

CSV = [
    ("", {}, "{p}: the file is empty; a header with the names of the columns is needed"),
    ("size,y\n", {}, "{p}: there are no rows in it, only a header"),
    (
        "a b c\n1 2 3\n",
        {},
        "{p}: only one column, 'a b c'; if spaces separate the cells, say delimiter = \" \"",
    ),
    (
        "1.5,2,3\n1,2,3\n",
        {},
        "{p}: the first line, 1.5, 2, 3, ..., contains numbers; a header must name columns",
    ),
    ("a,a,y\n1,2,3\n", {}, "{p}: column 'a' is in the header twice"),
    ("a,,y\n1,2,3\n7,1,4\n", {}, '{p}: column 2 has no name in the header; name it or drop [""]'),
    (lines(bad={7: "1,red"}), {}, "{p}, line 7: 2 cells, the header has 3"),
    (
        lines(bad={7: "1,red,yes,no"}),
        {},
        "{p}, line 7: 4 cells, the header has 3; a cell with ',' in it must be in quotes",
    ),
    (lines(bad={7: '1,"red,yes'}), {}, "{p}, line 31: not valid CSV: unexpected end of data"),
    (lines(), {"target": "z"}, "{p}: target 'z' is not a column; allowed: colour, size, y"),
    (
        lines(),
        {"target": "colr"},
        "{p}: target 'colr' is not a column; did you mean 'colour'? Allowed: colour, size, y",
    ),
    (
        lines(),
        {"drop": ["colours"]},
        "{p}: drop 'colours' is not a column; did you mean 'colour'? Allowed: colour, size, y",
    ),
    (lines(), {"drop": ["y"]}, "{p}: column 'y' is the target, it cannot be in drop too"),
    (lines(), {"drop": ["size", "colour"]}, "{p}: no column is left beside the target 'y'"),
    (
        lines(bad={9: ",red,no"}),
        {},
        "{p}, line 9: column 'size' is empty (1 cell in all); "
        'use missing = "drop" or "impute", or fill it in',
    ),
    (
        lines(bad={9: "4,n/a,no", 11: "4,?,no"}),
        {},
        "{p}, line 9: column 'colour' is empty (2 cells in all); "
        'use missing = "drop" or "impute", or fill it in',
    ),
    (
        lines(bad={9: "1,red,"}),
        {"missing": "impute"},
        "{p}, line 9: column 'y' is empty (1 cell in all); use missing = \"drop\", or fill it in",
    ),
    (
        "a,b,y\n" + "1.5,,no\n3,,yes\n" * 9,
        {"missing": "impute"},
        "{p}: column 'b' is empty in all training rows; put it in drop",
    ),
    (
        "a,b,y\n" + "1.5,,no\n3,,yes\n" * 9,
        {"missing": "drop"},
        "{p}: every row has an empty cell: missing = \"drop\" leaves nothing; column 'b' is empty in 18 of 18 rows",
    ),
    (
        lines(bad={9: "big,red,no"}),
        {},
        "{p}, line 9: column 'size': 'big' is not a number, most of the column is; "
        "correct it, empty the cell if nothing is known, or put 'size' in drop or in categorical",
    ),
    (
        "a,y\n" + "".join(f"{i},{i % 2}\n" for i in range(20)) + "7,one\n",
        {},
        "{p}, line 22: column 'y': 'one' is not a number, most of the column is; "
        "correct it, empty the cell if nothing is known, or take the line out, "
        "or say task = \"classification\" to read all of 'y' as names",
    ),
    (
        "size;y\n" + "".join(f"{i},5;{'no' if i % 2 else 'yes'}\n" for i in range(30)),
        {},
        "{p}, line 2: column 'size': '0,5' is a number with a decimal comma; "
        "say decimal = \",\", or put 'size' in categorical if it is a name",
    ),
    (
        "size;y\n" + "".join(f"{i};{i}{',5' * (i % 3 > 0)}\n" for i in range(30)),
        {},
        "{p}, line 3: column 'y': '1,5' is a number with a decimal comma; "
        "say decimal = \",\", or put 'y' in categorical if it is a name",
    ),
    (
        "size;y\n1,5;no\n1.234,5;yes\n",
        {"decimal": ","},
        "{p}, line 3: column 'size': '1.234,5' has a point, but decimal = \",\"; "
        'if points separate thousands, say thousands = "."',
    ),
    (
        lines(bad={9: "inf,red,no"}),
        {},
        "{p}, line 9: column 'size' is inf; it must be a finite float32 number",
    ),
    (
        lines(bad={9: "inf,red,no", 10: "inf,red,no"}),
        {},
        "{p}, line 9: column 'size' is inf; it must be a finite float32 number",
    ),
    (
        lines(bad={9: "1e300,red,no"}),
        {},
        "{p}, line 9: column 'size' is 1e+300; it must be a finite float32 number",
    ),
    (IDS, {}, "{p}: column 'id' has 18 different texts in 18 training rows (" + LEVELS),
    (
        "a,y\n" + "1.5,no\n2,no\n" * 9,
        {},
        "{p}: target 'y' is 'no' in all 18 examples: with only one class there is nothing to learn",
    ),
    (
        "a,y\n" + "1.5,no\n2,no\n" * 9 + "3,yes\n",
        {},
        "{p}: class 'yes' has 1 example, too few to split: training, validation and test "
        "need at least 3; add some or take it out",
    ),
    (
        "a,y\n" + "".join(f"{i * i},{i}\n" for i in range(60)),
        {},
        "{p}: target 'y' has 60 different whole numbers: " + SAY,
    ),
    (
        "a,y\n" + "".join(f"{i * i},{i % 3}.0\n" for i in range(60)),
        {},
        "{p}: target 'y' has 3 different whole numbers written as decimals: " + SAY,
    ),
    (
        lines(),
        {"task": "regression"},
        "{p}, line 2: target 'y' is 'no', regression needs numbers; names are for task = \"classification\"",
    ),
    (
        "a,y\n" + "".join(f"{i * i},{i / 7}\n" for i in range(9)) + "1,inf\n",
        {},
        "{p}, line 11: target 'y' is inf; it must be a finite float32 number",
    ),
    (
        "a,y\n" + "".join(f"{i * i},{i / 7}e299\n" for i in range(9)),
        {},
        "{p}, line 3: target 'y' is 1.42857e+298; it must be a finite float32 number",
    ),
    (
        "a,y\n" + "".join(f"{i * i},{i / 7}e-60\n" for i in range(9)),
        {},
        "{p}: target 'y' differs by less than float32 can represent in all 5 training examples, 6.28571e-61: "
        "nothing to learn; name another column, or scale it up",
    ),
    (
        lines(),
        {"normalize": "channel"},
        "{p}: normalize = 'channel' needs images (N, C, H, W), an example here has shape (3,); "
        "allowed: standard, none",
    ),
    (
        lines(),
        {"limit": 1},
        "{p}: limit = 1 is less than one example for each of 2 classes; at least 2 are needed",
    ),
]


@pytest.mark.parametrize(("text", "options", "message"), CSV)
def test_csv(tmp_path, text, options, message):
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as error:
        load(parse_data({"kind": "csv", "path": str(path), "target": "y", **options}))
    assert str(error.value) == message.format(p=path)


def test_test_files(tmp_path):
    good, other = tmp_path / "good.csv", tmp_path / "other.csv"
    good.write_text(lines(), encoding="utf-8")

    def refused(text, **options):
        other.write_text(text, encoding="utf-8")
        with pytest.raises(DataError) as error:
            load(
                parse_data(
                    {"kind": "csv", "path": str(good), "target": "y", "test_path": str(other), **options}
                )
            )
        return str(error.value)

    assert refused("size,color,y\n1,red,no\n") == (
        f"{other}: column 'colour' of {good} is not in it; did you mean 'color'? Allowed: color, size, y"
    )
    assert refused("size,colour,y\n") == f"{other}: there are no rows in it, only a header"
    assert refused("size,colour,y\n1,red,no\nx,red,yes\n") == (
        f"{other}, line 3: column 'size': 'x' is not a number, most of the column is; "
        "correct it, empty the cell if nothing is known, or put 'size' in drop or in categorical"
    )
    assert refused("size,colour,y\n1,red,no\n") == (
        f"{good}: the test split has no example of class 'yes'; it must have all, so add one or take the class out"
    )
    assert refused("size,colour,y\n,red,no\n,red,yes\n", missing="drop") == (
        f"{good}: every row of the test split has an empty cell"
    )
    assert refused("size,colour,y\n1,red,maybe\n") == (
        f"{good}: class 'maybe' has no training example, only held-out ones; add some or take it out"
    )


def test_files(tmp_path):
    (tmp_path / "digits.csv").write_bytes("a,y\nü,1\n".encode("latin-1"))
    (tmp_path / "x.npz").write_bytes(b"nothing of the kind")
    (tmp_path / "x.parquet").write_bytes(b"nothing of the kind")
    (tmp_path / "empty").mkdir()

    def refused(**spec):
        with pytest.raises(DataError) as error:
            load(parse_data(spec), base=tmp_path)
        assert "\n" not in str(error.value)
        return str(error.value).removeprefix(str(tmp_path) + "/")

    none = "there is no such file or folder"
    assert refused(kind="csv", path="digit.csv", target="y") == (
        f"data.path = 'digit.csv': {none}: {tmp_path / 'digit.csv'}; did you mean 'digits.csv'?"
    )
    assert (
        refused(kind="npz", path="far/off.npz")
        == f"data.path = 'far/off.npz': {none}: {tmp_path / 'far/off.npz'}"
    )
    assert refused(kind="csv", path="digits.csv", target="y") == (
        'digits.csv: not UTF-8 text (byte 4); it may be Latin-1: say encoding = "latin-1", or save it as UTF-8'
    )
    assert refused(kind="csv", path="empty", target="y") == "empty: is a folder; a file is needed"
    assert refused(kind="npz", path="x.npz") == (
        "x.npz: not a NumPy archive; save plain arrays with numpy.savez"
    )
    assert refused(kind="parquet", path="x.parquet", target="y").startswith(
        "x.parquet: cannot be read as Parquet: "
    )
    assert refused(kind="images", path="empty") == "empty: there are no class folders in it"
    assert refused(kind="images", path="x.npz") == "x.npz: there is no such folder"
    assert refused(kind="fashion-mnist", path="empty").startswith(
        "empty: has neither train-images-idx3-ubyte.gz"
    )


X, Y = np.arange(60.0).reshape(30, 2), np.arange(30) % 2


def with_nan(row, column):
    x = X.copy()
    x[row, column] = np.nan
    return x


ARRAYS = [
    ((X[:0], Y[:0]), {}, "arrays: there are no examples in x"),
    ((X, Y[:-1]), {}, "arrays: x has 30 examples, y has 29"),
    ((X[:, 0], Y), {}, "arrays: x has shape (30,); (N, features) or (N, C, H, W) is needed"),
    ((X[:, :0], Y), {}, "arrays: x has shape (30, 0): no features"),
    (
        (X, np.zeros((30, 2, 2))),
        {},
        "arrays: y has shape (30, 2, 2); (N,) is needed, a number or name for each example, or (N, T) numbers",
    ),
    (
        (X.astype(str), Y),
        {},
        "arrays: x has type <U32; numbers are needed (a data frame may have columns of text)",
    ),
    ((with_nan(12, 1), Y), {}, "arrays, x, row 12: feature 1 is nan; it must be a finite float32 number"),
    (
        (X, np.zeros(30, int)),
        {},
        "arrays: target 'y' is '0' in all 30 examples: with only one class there is nothing to learn",
    ),
    (
        (X, np.where(Y, np.nan, 0.5)),
        {},
        "arrays, x, row 1: target 'y' is missing (NaN or None; 15 in all); leave such examples out",
    ),
    (
        (X, np.where(np.arange(60) == 5, np.nan, np.arange(60) / 7.0).reshape(30, 2)),
        {},
        "arrays, x, row 2: target 'y1' is missing (NaN or None; 1 in all); leave such examples out",
    ),
    ((X, Y), {"x_test": X}, "arrays: x_test is given without y_test"),
    ((X, Y), {"y_validation": Y}, "arrays: y_validation is given without x_validation"),
    (
        (X, Y),
        {"x_test": X[:, :1], "y_test": Y},
        "arrays: x_test has examples of shape (1,), x of (2,)",
    ),
    (
        (X, Y),
        {"x_test": with_nan(3, 0), "y_test": Y},
        "arrays, x_test, row 3: feature 0 is nan; it must be a finite float32 number",
    ),
    (
        (X, Y),
        {"normalize": "standrad"},
        "arrays: normalize = 'standrad': did you mean 'standard'? Allowed: channel, none, standard",
    ),
    ((X, Y), {"validation": 1.5, "name": "mine"}, "mine: validation = 1.5: must be less than 1.0"),
    ((X, Y), {"categorical": ["a"]}, "arrays: categorical needs a data frame with named columns"),
    ((X, Y), {"categorical": 3}, "arrays: categorical = 3: must be a list"),
    ((X, Y), {"categorical": "ab"}, "arrays: categorical = 'ab': must be a list"),
    ((X, Y), {"class_names": 3}, "arrays: class_names = 3: must be a list of names"),
    ((X, Y), {"class_names": "ab"}, "arrays: class_names = 'ab': must be a list of names"),
    ((X, Y), {"name": 3}, "name = 3: must be text"),
    ((X, Y), {"name": "\ud800"}, "name = '\\ud800': must be text: half of a character is in it"),
    (
        (np.zeros((30, 5, 5, 5), np.uint8), Y),
        {},
        "arrays: x has bytes of shape (30, 5, 5, 5); images need 1, 3 or 4 channels; other data, float32",
    ),
    (
        (X[:2], np.array([0.25, 1.5])),
        {},
        "arrays: 2 examples are too few: training, validation and test need at least 3",
    ),
]


@pytest.mark.parametrize(("arrays", "options", "message"), ARRAYS)
def test_arrays(arrays, options, message):
    with pytest.raises(DataError) as error:
        from_arrays(*arrays, **options)
    assert str(error.value) == message


def test_torch_datasets():
    class Stream:
        def __iter__(self):
            return iter([])

    cases = [
        (Stream(), "dataset: Stream has no length or no index; a map-style dataset is needed"),
        ([1.5, 2.5], "dataset: item 0 is float; a pair (x, y) is needed"),
        ([], "dataset: there are no examples in it"),
        ([([1.0, 2.0], 0), ([1.0], 1)], "dataset: item 1 has shape (1,), item 0 (2,); all must be alike"),
    ]
    for dataset, message in cases:
        with pytest.raises(DataError) as error:
            from_torch_dataset(dataset)
        assert str(error.value) == message


def test_npz_names(tmp_path):
    path = tmp_path / "t.npz"
    np.savez(path, inputs=X, labels=Y, things=np.array([{}, []], dtype=object))

    def refused(**spec):
        with pytest.raises(DataError) as error:
            load(parse_data({"kind": "npz", "path": str(path), **spec}))
        return str(error.value)

    assert refused() == (
        f"{path}: there is no 'x' in it; name the array: x = \"...\"; allowed: inputs, labels, things"
    )
    assert refused(x="input", y="labels") == (
        f"{path}: x = 'input' is not in it; did you mean 'inputs'? Allowed: inputs, labels, things"
    )
    assert refused(x="things", y="labels") == (
        f"{path}: an array of Python objects; save plain arrays with numpy.savez"
    )


def test_a_fold_whose_numbers_float32_cannot_tell_apart_beside_the_others_is_refused() -> None:
    """Inputs of folds lie in memory once, counted from the median of all."""
    rng = np.random.default_rng(0)
    groups = np.arange(90) // 15
    given = {"groups": groups, "split": {"folds": 3}, "split_seed": 4}
    noise = rng.normal(size=(90, 2))
    near = np.c_[(groups >= 3) * 1e3 + noise[:, 0], noise[:, 1]]
    data = from_arrays(near, np.arange(90) % 3, **given)
    assert data.folds is not None
    for part in data.folds.sizes:  # as scikit-learn's scaler would have them, to a thousandth
        train = data.folds.of(part).train
        x = near[np.asarray(train.at)]
        assert np.abs(train.x - (x - x.mean(0)) / x.std(0)).max() < 1e-3
    far = np.c_[near[:, 0] + (groups >= 3) * 1e6, noise[:, 1]]
    with pytest.raises(
        DataError, match=r"feature 0: the training examples of a fold lie [\d,]+ of their deviations"
    ):
        from_arrays(far, np.arange(90) % 3, **given)
