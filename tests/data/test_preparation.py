"""What was done to raw values is data: done again to the training rows, it gives the data set's own bits."""

import csv
import json

import numpy as np
import pytest

from ravine.data import from_arrays, load, parse_data
from ravine.data.column import Cells
from ravine.data.deal import deal
from ravine.data.preparation import Preparation
from ravine.errors import DataError

SPLITS = ("train", "validation", "test")


def dealt(labels, classes, **options):
    """The rows of each split, as the data set itself deals them."""
    options = {"validation": 0.2, "test": 0.2, "seed": 0, **options}
    splits = deal(labels, classes, np.zeros(len(labels), np.int8), name="t", **options)
    return {name: getattr(splits, name) for name in SPLITS}


def again(data):
    """The preparation, out of text."""
    text = json.dumps(data.preparation.content(), allow_nan=False)
    preparation = Preparation.of(json.loads(text))
    assert preparation == data.preparation
    return preparation


def check(data, raw_x, raw_y):
    """Every split's raw rows, prepared again, are its numbers bit for bit."""
    preparation = again(data)
    y = preparation.target.apply(raw_y(slice(None)))
    labels = y if data.task == "classification" else np.zeros(len(y), np.int64)
    for name, rows in dealt(labels, data.classes).items():
        part = getattr(data, name)
        assert preparation.inputs.apply(raw_x(rows)).tobytes() == part.x.tobytes(), name
        assert preparation.target.apply(raw_y(rows)).tobytes() == part.y.tobytes(), name
        for row in rows[:3]:  # and one by one
            assert preparation.inputs.apply(raw_x([row])).tobytes() in part.x.tobytes()


def bytes_(shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


NUMBERS = np.random.default_rng(0).normal(3, 5, (60, 4))


@pytest.mark.parametrize("normalize", [None, "standard", "none"])
@pytest.mark.parametrize(
    "x",
    [
        NUMBERS,
        NUMBERS.astype(np.float32),
        (NUMBERS * 9).astype(int),
        NUMBERS.reshape(60, 2, 2),
        bytes_((60, 5, 4)),
        bytes_((60, 5, 4, 3)),
        bytes_((60, 3, 5, 4)),
        NUMBERS.reshape(60, 1, 2, 2).astype(np.float32),
        np.full((60, 2), 0.1),
    ],
    ids=lambda x: f"{x.dtype}{x.shape}",
)
def test_arrays(x, normalize):
    for y in (np.arange(60) % 3, np.array(["b", "a", "c"])[np.arange(60) % 3], NUMBERS[:, 0]):
        data = from_arrays(x, y, normalize=normalize)
        check(data, lambda rows: x[rows], lambda rows, y=y: y[rows])


ROWS = [
    [
        f"{v:.3f}".replace(".", ","),
        ["red", "blue", "NA"][i % 3],
        f"{1000 + i * i:,}".replace(",", "."),
        7 + i % 4,
    ]
    for i, v in enumerate(NUMBERS[:, 0].tolist())
]
ROWS[5][0] = ROWS[11][2] = "?"


@pytest.mark.parametrize(
    ("labels", "task"),
    [(("01", "1", "2"), None), (("2.0", "3", "10"), "classification"), (None, "regression")],
)
def test_tables_of_text(tmp_path, labels, task):
    targets = [labels[i % 3] if labels else f"{i / 7:.3f}".replace(".", ",") for i in range(60)]
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["size", "colour", "price", "code", "y"])
        writer.writerows([*row, target] for row, target in zip(ROWS, targets, strict=True))
    spec = {
        "kind": "csv",
        "path": str(path),
        "target": "y",
        "missing": "impute",
        "categorical": ["code"],
        "task": task,
    }
    data = load(parse_data({**spec, "decimal": ",", "thousands": "."}))
    columns = {
        name: np.array([row[i] for row in ROWS], dtype=str)
        for i, name in enumerate(("size", "colour", "price"))
    }
    columns["code"] = np.array([str(row[3]) for row in ROWS])
    raw = np.array(targets, dtype=object)
    numbers = np.array([float(text.replace(",", ".")) for text in targets]) if task == "regression" else raw
    check(
        data, lambda rows: {name: cells[rows] for name, cells in columns.items()}, lambda rows: numbers[rows]
    )


@pytest.mark.parametrize("name", ["pandas", "polars", "pyarrow"])
def test_frames(name):
    library = pytest.importorskip(name)
    colours = [["red", "blue", None][i % 3] for i in range(60)]
    columns = {"a": NUMBERS[:, 0], "n": [None if i % 7 == 0 else i for i in range(60)], "c": colours}
    make = library.table if name == "pyarrow" else library.DataFrame
    y = [["no", "yes"][i % 2] for i in range(60)]
    data = from_arrays(make(columns), y, missing="impute")

    def rows_of(rows):
        return make({key: [cells[row] for row in rows] for key, cells in columns.items()})

    check(data, rows_of, lambda rows: np.array(y, dtype=object)[rows])


def test_images(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for i, pixels in enumerate(bytes_((10, 6, 5, 3))):
            image.fromarray(pixels if label == "cat" else 255 - pixels).save(tmp_path / label / f"{i}.png")
    files = sorted(tmp_path.rglob("*.png"))
    labels = np.array([file.parent.name for file in files], dtype=object)
    for options in ({}, {"size": 4}, {"normalize": "standard"}, {"normalize": "none"}):
        data = load(parse_data({"kind": "images", "path": str(tmp_path), **options}))
        check(data, lambda rows: [files[row] for row in rows], lambda rows: labels[rows])


@pytest.mark.parametrize("kind", ["iris", "digits", "diabetes"])
def test_data_that_are_built_in(kind):
    data = load(parse_data(kind))
    preparation = again(data)
    assert preparation.target.undo(data.test.y[:2]) is not None
    raw = load(parse_data({"kind": kind, "normalize": "none"}))
    if kind != "diabetes":
        names = preparation.target.undo(data.test.y)
        assert names == tuple(data.classes[index] for index in data.test.y)
    if kind == "digits":  # float32 images are exact without scaling
        assert preparation.inputs.apply(raw.train.x).tobytes() == data.train.x.tobytes()


def test_new_values_that_cannot_be_used():
    data = from_arrays(NUMBERS, np.array(["a", "b"])[np.arange(60) % 2])
    prepared = data.preparation

    def refused(apply, raw):
        with pytest.raises(DataError) as error:
            apply(raw)
        return str(error.value)

    assert refused(prepared.inputs.apply, NUMBERS[:, :3]) == "x has examples of shape (3,); (4,) is needed"
    assert "feature 1 is nan" in refused(prepared.inputs.apply, [[1.0, np.nan, 2.0, 3.0]])
    assert refused(prepared.target.apply, ["a", "c"]) == "y, row 1: 'c' is no class; allowed: a, b"
    assert refused(prepared.target.apply, ["a", None]) == "y, row 1 is missing"
    images = from_arrays(bytes_((60, 5, 4)), np.arange(60) % 2).preparation
    assert "bytes (uint8) are needed" in refused(images.inputs.apply, np.ones((3, 1, 5, 4)))
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": NUMBERS[:, 0], "c": ["u", "v"] * 30})
    table = from_arrays(frame, np.arange(60) % 2).preparation
    assert refused(table.inputs.apply, frame[["a"]]) == "x has no column 'c'; allowed: a"
    assert (
        refused(table.inputs.apply, {"a": ["x"], "c": ["u"]}) == "x, row 0: column 'a': 'x' is not a number"
    )
    assert (
        refused(table.inputs.apply, {"a": [1.0], "c": [None]}) == "x, row 0: column 'c' is empty; fill it in"
    )
    assert table.inputs.apply({"a": [1.0], "c": ["new"]})[0, 1:].tolist() == [0.0, 0.0]
    assert isinstance(Cells(values=np.zeros(2)), Cells)


def test_a_content_that_is_none_is_refused():
    content = from_arrays(NUMBERS, np.arange(60) % 2).preparation.content()
    for key, value in (("inputs", {"kind": "nothing"}), ("target", 3), ("inputs", None)):
        with pytest.raises(DataError, match=r"^preparation: "):
            Preparation.of({**content, key: value})


def test_numbers_that_float32_would_round_together_keep_their_differences():
    """Around 1e9 float32 numbers are 64 apart: every prediction was the mean."""
    y = 1e9 + np.sin(np.arange(60.0))
    data = from_arrays(NUMBERS, y, task="regression")
    target = data.preparation.target
    assert np.abs(data.in_own_units(target.apply(y)) - y).max() < 1e-6
    usual = from_arrays(NUMBERS, y - 1e9, task="regression")
    assert usual.in_own_units(usual.train.y).dtype == np.float32
