"""CSV and Parquet: what is read, encoded, imputed and dropped."""

import csv
import re
import time

import numpy as np
import pytest
from sklearn import datasets

from ravine.data import load, parse_data
from ravine.errors import DataError

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def write(path, rows, delimiter=",", encoding="utf-8"):
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return str(path)


def csv_of(tmp_path, rows, **options):
    path = write(tmp_path / "t.csv", rows)
    return load(parse_data({"kind": "csv", "path": path, "target": "y", **options}))


def everything(data):
    parts = (data.train, data.validation, data.test)
    return np.concatenate([p.x for p in parts]), np.concatenate([p.y for p in parts])


def mixed(count=40):
    """Rows of a number, a colour and a label that can be told from each other afterwards."""
    colours = ["red", "green", "blue"]
    return [["size", "colour", "y"]] + [
        [f"{i * 1.5}", colours[i % 3], "yes" if i % 2 else "no"] for i in range(count)
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_iris_written_out_is_iris(tmp_path, delimiter, encoding):
    iris = datasets.load_iris()
    rows = [
        [*map(repr, map(float, x)), f'{iris.target_names[y]}, "so-called"']
        for x, y in zip(iris.data, iris.target, strict=True)
    ]
    path = write(tmp_path / "iris.csv", [[*iris.feature_names, "species"], *rows], delimiter, encoding)
    data = load(parse_data({"kind": "csv", "path": path, "target": "species"}))
    ours = load(parse_data("iris"))
    assert data.classes == tuple(f'{name}, "so-called"' for name in ours.classes)
    assert data.features == ours.features
    assert data.name == "iris"
    for one, other in ((data.train, ours.train), (data.validation, ours.validation), (data.test, ours.test)):
        assert np.array_equal(one.x, other.x)
        assert np.array_equal(one.y, other.y)


def test_names_become_columns(tmp_path):
    data = csv_of(tmp_path, mixed())
    assert data.features == ("size", "colour=blue", "colour=green", "colour=red")
    assert data.classes == ("no", "yes")
    x, _ = everything(data)
    assert set(np.unique(x[:, 1:])) == {0.0, 1.0}  # left as they are, not standardized
    assert np.all(x[:, 1:].sum(axis=1) == 1)
    assert "column 'colour': one column for each of its 3 levels" in data.notes


def test_dates_that_become_columns_are_noted(tmp_path):
    rows = [
        ["day", "size", "y"],
        *([f"2024-01-0{1 + i % 4}", i, "yes" if i % 3 else "no"] for i in range(40)),
    ]
    data = csv_of(tmp_path, rows)
    assert len(data.features) == 5
    (note,) = [note for note in data.notes if "dates" in note]
    assert note.startswith("column 'day': its texts look like dates, but are names here, without an order; ")
    assert not [note for note in csv_of(tmp_path, mixed()).notes if "dates" in note]


def test_a_level_that_training_never_saw_is_all_zeros(tmp_path):
    train, test = mixed(), [["colour", "y", "size"], ["pink", "yes", "1"], ["red", "no", "2"]]
    path = write(tmp_path / "test.csv", test)
    data = csv_of(tmp_path, train, test_path=path)
    assert data.test.x[:, 1:].tolist() == [[0, 0, 0], [0, 0, 1]]
    assert data.test.y.tolist() == [1, 0]
    assert "column 'colour': 'pink' in 1 held-out row was never seen in training: all zeros" in data.notes
    assert "the given test split of 2 was kept" in data.notes
    assert len(data.train) + len(data.validation) == 40


def test_missing_cells_dropped_and_imputed(tmp_path):
    rows = mixed()
    rows[5][0] = "NA"
    for row in rows[9:19]:  # enough for some to be in the training part
        row[1] = " "
    dropped = csv_of(tmp_path, rows, missing="drop")
    assert len(everything(dropped)[1]) == 29
    assert "11 of 40 rows, with an empty cell, were dropped" in dropped.notes

    data = csv_of(tmp_path, rows, missing="impute", normalize="none")
    x, _ = everything(data)
    assert len(x) == 40
    assert data.features == ("size", "colour=blue", "colour=green", "colour=missing", "colour=red")
    assert x[:, 3].sum() == 10
    written = {float(row[0]) for row in rows[1:] if row[0] != "NA"}
    (imputed,) = {float(value) for value in x[:, 0]} - written
    known = [float(value) for value in data.train.x[:, 0] if float(value) != imputed]
    assert imputed == pytest.approx(np.mean(known), rel=1e-6)
    assert any(note.startswith("column 'size': 1 empty cell became the training mean") for note in data.notes)


def test_targets(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2))

    def target(values, **options):
        rows = [
            ["a", "b", "y"],
            *([*map(repr, map(float, pair)), v] for pair, v in zip(x, values, strict=True)),
        ]
        return csv_of(tmp_path, rows, **options)

    assert target([i % 3 + 8 for i in range(60)]).classes == ("8", "9", "10")  # in the order of numbers
    assert target([["no", "yes"][i % 2] for i in range(60)]).classes == ("no", "yes")
    assert target([i / 7 for i in range(60)]).task == "regression"
    assert target(list(range(60)), task="regression").task == "regression"
    assert target([f"{i % 2}.0" for i in range(60)], task="classification").classes == ("0", "1")
    assert target([i % 3 / 2 for i in range(60)], task="classification").classes == ("0", "0.5", "1")


def test_regression_predictions_can_be_turned_back(tmp_path):
    rows = [["a", "y"], *([f"{i * i}", f"{i / 7}"] for i in range(60))]
    _, y = everything(csv_of(tmp_path, rows))
    data = csv_of(tmp_path, rows)
    raw = np.sort(y * data.target_scale + data.target_mean)
    assert np.allclose(raw, np.arange(60) / 7, atol=1e-5)


def test_columns_dropped_kept_as_names_and_left_out(tmp_path):
    rows = [["", "id", "code", "size", "y"]]
    rows += [[i, f"u{i}", 100 + i % 3, i / 3 + i % 2, "ab"[i % 2]] for i in range(30)]
    data = csv_of(tmp_path, rows, drop=["id"], categorical=["code"])
    assert data.features == ("code=100", "code=101", "code=102", "size")
    assert "the column without a name counts the rows: it was left out" in data.notes
    held_out = write(tmp_path / "test.csv", [rows[0], *([i, *row[1:]] for i, row in enumerate(rows[-6:]))])
    given = csv_of(tmp_path, rows, drop=["id"], categorical=["code"], test_path=held_out)
    assert given.features == data.features
    assert len(given.test) == 6


def test_a_column_that_counts_is_pointed_out(tmp_path):
    rows = [["row", "size", "y"], *([i, i / 3 + i % 2, "ab"[i % 2]] for i in range(30))]
    assert "column 'row' counts the rows: if it is an index, put it in drop" in csv_of(tmp_path, rows).notes


def test_constant_and_far_off_columns_stay_finite(tmp_path):
    rows = [["flat", "time", "y"], *(["0.1", 1.7e9 + i * i, "ab"[i % 2]] for i in range(30))]
    data = csv_of(tmp_path, rows)
    assert np.all(data.train.x[:, 0] == 0)
    assert np.all(data.test.x[:, 0] == 0)
    assert float(data.train.x[:, 1].std()) == pytest.approx(1, rel=1e-5)  # scaled before float32


def test_quotes_line_breaks_and_empty_lines(tmp_path):
    path = tmp_path / "t.csv"
    body = "".join(f'{i}.5,"{"ab"[i % 2]}\nx"\n\n' for i in range(20))
    path.write_text("a,y\n" + body, encoding="utf-8")
    data = load(parse_data({"kind": "csv", "path": str(path), "target": "y"}))
    assert data.classes == ("a\nx", "b\nx")
    assert len(everything(data)[1]) == 20


def test_parquet_is_csv_with_types(tmp_path):
    rows = mixed()
    table = pyarrow.table(
        {
            "size": [float(row[0]) for row in rows[1:]],
            "colour": pyarrow.array([row[1] for row in rows[1:]]).dictionary_encode(),
            "y": [row[2] for row in rows[1:]],
        }
    )
    path = tmp_path / "t.parquet"
    parquet.write_table(table, path)
    data = load(parse_data({"kind": "parquet", "path": str(path), "target": "y"}))
    assert data.fingerprint == csv_of(tmp_path, rows).fingerprint


def test_parquet_nulls(tmp_path):
    table = pyarrow.table(
        {
            "whole": pyarrow.array([None, *range(1, 30)], pyarrow.int32()),
            "part": [*(i * i / 4 for i in range(29)), None],
            "name": ["u", *[None] * 9, *("uv"[i % 2] for i in range(20))],
            "flag": [i % 3 == 0 for i in range(30)],
            "y": [i % 2 for i in range(30)],
        }
    )
    path = tmp_path / "t.parquet"
    parquet.write_table(table, path)
    spec = {"kind": "parquet", "path": str(path), "target": "y"}
    assert len(everything(load(parse_data({**spec, "missing": "drop"})))[1]) == 19
    imputed = load(parse_data({**spec, "missing": "impute"}))
    assert np.isfinite(everything(imputed)[0]).all()
    assert imputed.features == ("whole", "part", "name=missing", "name=u", "name=v", "flag")


@pytest.mark.slow
def test_a_large_file_is_read_at_once(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "large.csv"
    body = np.column_stack([rng.normal(size=(58_000, 9)), rng.integers(0, 7, 58_000)])
    header = ",".join([*(f"f{i}" for i in range(9)), "y"])
    np.savetxt(path, body, delimiter=",", header=header, comments="", fmt=["%.6g"] * 9 + ["%d"])
    start = time.process_time()
    data = load(parse_data({"kind": "csv", "path": str(path), "target": "y"}))
    assert time.process_time() - start < 2.0
    assert len(data.classes) == 7
    order = np.lexsort(everything(data)[0].T)
    raw = load(parse_data({"kind": "csv", "path": str(path), "target": "y", "normalize": "none"}))
    assert len(order) == 58_000
    assert np.allclose(np.sort(everything(raw)[0][:, 0]), np.sort(body[:, 0]), rtol=1e-5)


def test_a_decimal_comma_is_read_where_it_is_asked_for(tmp_path):
    rows = [f"{i},25;{i}.02.2024;{'a,b' if i % 2 else 'c'};{-i},25e1;" + "1.5" for i in range(10, 40)]
    path = tmp_path / "europe.csv"
    path.write_text("\n".join(["size;day;name;y;code", *rows]) + "\n")
    table = {"kind": "csv", "path": str(path), "target": "y", "drop": ["day"], "categorical": ["code"]}
    data = load(parse_data({**table, "decimal": ",", "normalize": "none"}))
    assert data.task == "regression"
    assert data.features == ("size", "name=a,b", "name=c", "code=1.5")
    sizes = np.concatenate([split.x[:, 0] for split in (data.train, data.validation, data.test)])
    assert sorted(sizes) == [i + 0.25 for i in range(10, 40)]
    y = np.concatenate([split.y for split in (data.train, data.validation, data.test)])
    assert y * data.target_scale + data.target_mean == pytest.approx(-10 * (sizes - 0.25) - 2.5, rel=1e-5)


def test_a_target_of_numbers_and_words_is_names_where_the_task_says_so(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "".join(f"{i * i},{i % 3 if i % 10 else 'none'}\n" for i in range(60)))
    data = load(parse_data({"kind": "csv", "path": str(path), "target": "y", "task": "classification"}))
    assert data.classes == ("0", "1", "2", "none")


def test_every_column_that_cannot_be_used_is_a_problem_of_its_own(tmp_path):
    days = [f"2024-{1 + i % 12:02}-{1 + i:02}" for i in range(28)]
    rows = [["id", "day", "age", "size", "gap", "y"]]
    rows += [[f"u{i}x", days[i], i, i, i, "yes" if i % 2 else "no"] for i in range(28)]
    rows[3][2], rows[5][3], rows[7][4] = "old", "$3", ""
    with pytest.raises(DataError) as error:
        csv_of(tmp_path, rows)
    found = [str(each) for each in error.value.each]
    about = ("'age': 'old' is not", "'size': '$3' is an amount", "'gap' is empty (1 cell in all)")
    about += ("'id' has 16 different", "'day' has 16 different")
    assert len(found) == len(about)
    for text, part in zip(found, about, strict=True):
        assert f"column {part}" in text
    assert "they look like dates; put it in drop" in found[-1]
    assert "like an identifier; put it in drop" in found[-2]
    assert str(error.value) == f"{found[0]} (and 4 more problems)"


@pytest.mark.parametrize("marker", ["n.a.", "-", "None", "<NA>"])
def test_a_dash_among_numbers_is_an_empty_cell(tmp_path, marker):
    rows = [["a", "y"], *([f"{i / 2}", "yes" if i % 2 else "no"] for i in range(40))]
    plain, marked = [list(row) for row in rows], [list(row) for row in rows]
    for row in (4, 9):
        plain[row][0], marked[row][0] = "", marker
    expected, found = (csv_of(tmp_path, each, missing="impute") for each in (plain, marked))
    assert found.fingerprint == expected.fingerprint
    assert f"column 'a': '{marker}' was read as an empty cell" in found.notes
    new, empty = ({"a": [cell]} for cell in (marker, ""))
    inputs = found.preparation.inputs
    assert np.array_equal(inputs.apply(new), inputs.apply(empty))
    with pytest.raises(DataError, match=rf"2 cells in all; '{re.escape(marker)}' is read as one"):
        csv_of(tmp_path, marked)


def test_a_dash_among_names_is_a_name(tmp_path):
    rows = [["a", "y"], *([("-", "None", "7")[i % 3], "yes" if i % 2 else "no"] for i in range(40))]
    assert csv_of(tmp_path, rows).features == ("a=-", "a=7", "a=None")


def test_numbers_with_leading_zeros_may_be_codes(tmp_path):
    rows = [["zip", "share", "y"]]
    rows += [[f"{1000 + i:05}", f"0.{i}5", "yes" if i % 2 else "no"] for i in range(40)]
    said = "column 'zip' has leading zeros, such as 01000: if these are codes, put it in categorical"
    assert [note for note in csv_of(tmp_path, rows).notes if "zeros," in note] == [said]
