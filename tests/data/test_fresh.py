"""New examples: read as training read its own, each row for itself, with notes about what is unusual."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ravine.data import Dataset, Preparation, from_arrays, load, parse_data
from ravine.data.answers import EMPTY, UNKNOWN
from ravine.data.fresh import Fresh
from ravine.data.fresh_files import fresh
from ravine.errors import DataError

TRAIN = [
    (f"{20 + i % 40}", ["red", "blue", "green"][i % 3], f"{1000 * (i % 7)}", ["no", "yes"][i % 2])
    for i in range(60)
]
HEADER = "age,colour,income,label"


def written(path: Path, header: str, rows: Any) -> Path:
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n")
    return path


def csv_data(folder: Path, **options: Any) -> Dataset:
    path = written(folder / "train.csv", HEADER, TRAIN)
    return load(parse_data({"kind": "csv", "path": str(path), "target": "label", **options}))


def again(data: Dataset) -> Preparation:
    """The preparation, as a store gives it back."""
    assert data.preparation is not None
    return Preparation.of(data.preparation.content())


def x_of(found: Fresh) -> np.ndarray:
    parts = [x for _, x in found.parts()]
    return np.concatenate(parts)


def refused(preparation: Preparation, raw: Any) -> str:
    def read() -> None:
        found = fresh(preparation, raw)
        list(found.parts())
        found.check_any()

    with pytest.raises(DataError) as error:
        read()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_training_file_itself_gives_the_rows_of_training(tmp_path: Path) -> None:
    data = csv_data(tmp_path)
    found = fresh(again(data), tmp_path / "train.csv")
    assert (found.num, found.notes, found.undecided) == (60, [], {})
    rows = {row.tobytes() for row in x_of(found)}
    for split in (data.train, data.validation, data.test):
        assert {row.tobytes() for row in split.x} <= rows
    assert found.answers is not None
    assert [data.classes[i] for i in found.answers] == [row[3] for row in TRAIN]


def test_columns_go_by_name_in_any_order_and_extra_ones_are_noted(tmp_path: Path) -> None:
    preparation = again(csv_data(tmp_path))
    straight = written(tmp_path / "a.csv", "age,colour,income", [row[:3] for row in TRAIN[:9]])
    turned = written(tmp_path / "b.csv", "id,income,colour,age", [("7", r[2], r[1], r[0]) for r in TRAIN[:9]])
    one, other = fresh(preparation, straight), fresh(preparation, turned)
    assert x_of(one).tobytes() == x_of(other).tobytes()
    assert (one.notes, one.answers) == ([], None)
    assert other.notes == ["1 column is not used: 'id'"]


def test_missing_columns_are_refused_by_name(tmp_path: Path) -> None:
    preparation = again(csv_data(tmp_path))
    path = written(tmp_path / "a.csv", "agee,colour", [("3", "red")])
    said = refused(preparation, path)
    assert said.startswith(
        f"{path}: columns 'age', 'income' are missing, which the model needs; did you mean 'agee'?"
    )


def test_unseen_levels_filled_cells_and_values_outside_the_range_are_counted(tmp_path: Path) -> None:
    preparation = again(csv_data(tmp_path, missing="impute"))
    rows = [
        ("21", "red", "0"),
        ("99", "mauve", ""),
        ("-5", "pink", "n.a."),
        ("30", "", "1000"),
        ("30", "pink", "0"),
    ]
    found = fresh(preparation, written(tmp_path / "a.csv", "age,colour,income", rows))
    x = x_of(found)
    assert len(x) == 5
    assert found.notes == [
        "2 empty cells were filled in as in training: 'income' 2",
        "column 'colour': 4 cells with levels that training never saw, all zeros: 'pink' 2, '' 1, 'mauve' 1",
        "2 values lie outside the range of training: 'age (20 to 59)' 2",
    ]
    assert not x[1, 1:-1].any()
    # An empty number is the training mean, which is 0 after scaling.
    assert abs(x[1, -1]) < 1e-6


def test_rows_that_cannot_be_decided_keep_their_place(tmp_path: Path) -> None:
    preparation = again(csv_data(tmp_path))
    rows = [
        ("21", "red", "0"),
        ("", "red", "0"),
        ("old", "red", "0"),
        ("1e39", "red", "0"),
        ("30", "blue", "0"),
    ]
    path = written(tmp_path / "a.csv", "age,colour,income", rows)
    found = fresh(preparation, path)
    ((decided, x),) = found.parts()
    assert decided.tolist() == [0, 4]
    assert x.shape[0] == 2
    assert found.undecided == {
        1: "column 'age' is empty",
        2: "column 'age': 'old' is not a number",
        3: "column 'age' is 1e+39; it must be a finite float32 number",
    }
    assert found.all_notes()[-1].startswith(f"3 rows are left empty: {path}, line 3: column 'age' is empty; ")
    nothing = written(tmp_path / "b.csv", "age,colour,income", [("", "red", "0"), ("x", "red", "1")])
    assert refused(preparation, nothing) == (
        f"{nothing}, line 2: column 'age' is empty; no other row can be predicted either"
    )


def test_what_one_row_contains_changes_no_other(tmp_path: Path) -> None:
    preparation = again(csv_data(tmp_path, missing="impute"))
    rows = [("21", "red", "-"), ("22", "blue", "x"), ("23", "none", "7")]
    together = fresh(preparation, written(tmp_path / "a.csv", "age,colour,income", rows))
    ((decided, x),) = together.parts()
    for row, values in zip(decided, x, strict=True):
        alone = fresh(preparation, written(tmp_path / "one.csv", "age,colour,income", [rows[row]]))
        assert x_of(alone).tobytes() == values.tobytes()


def test_a_csv_is_written_as_the_training_file_was(tmp_path: Path) -> None:
    text = "größe|preis|y\n" + "\n".join(
        f"{i / 8}|{i}.000|{['a', 'b'][i % 2]}" for i in range(1, 41)
    ).replace(".", ",")
    path = tmp_path / "t.csv"
    path.write_bytes(("# made\n" + text.replace(",000", ".000")).encode("latin-1"))
    data = load(
        parse_data(
            {
                "kind": "csv",
                "path": str(path),
                "target": "y",
                "delimiter": "|",
                "encoding": "latin-1",
                "decimal": ",",
            }
            | {"thousands": ".", "comment": "#"}
        )
    )
    preparation = again(data)
    new = tmp_path / "n.csv"
    new.write_bytes("# new\npreis|größe\n2.000|0,25\n".encode("latin-1"))
    assert x_of(fresh(preparation, new)).tobytes() in {
        row[None].tobytes() for row in x_of(fresh(preparation, path))
    }


def test_a_single_column_is_enough_where_the_model_takes_one(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "x,y", [(str(i), ["a", "b"][i % 2]) for i in range(40)])
    preparation = again(load(parse_data({"kind": "csv", "path": str(path), "target": "y"})))
    assert x_of(fresh(preparation, written(tmp_path / "n.csv", "x", [("1",), ("2",)]))).shape == (2, 1)
    assert "only one column" in refused(preparation, written(tmp_path / "m.csv", "z", [("1",)]))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"age,colour,income\n", "there are no rows in it, only a header"),
        (bytes(range(256)) * 9, "has NUL bytes: not a text file"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", ""),
        (b"age,age,income\n1,2,3\n", "is in the header twice"),
        (b"age,colour,income\n1,2\n", "2 cells, the header has 3"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    preparation = again(csv_data(tmp_path))
    path = tmp_path / "n.csv"
    path.write_bytes(content)
    assert words in refused(preparation, path)
    assert refused(preparation, tmp_path / "none.csv").endswith("there is no such file or folder")
    assert refused(preparation, tmp_path).endswith("is a folder; a file is needed")


def test_labels_are_found_by_name_and_unknown_ones_left_out(tmp_path: Path) -> None:
    preparation = again(csv_data(tmp_path))
    rows = [("21", "red", "0", label) for label in ("yes", "no", "maybe", "", " yes ")]
    found = fresh(preparation, written(tmp_path / "a.csv", HEADER, rows))
    assert found.answers is not None
    assert found.answers.tolist() == [1, 0, UNKNOWN, EMPTY, 1]
    assert found.notes == [
        "target 'label': 1 cell is empty; left out of the score",
        "target 'label': 1 cell has a label that is none of the model's classes, such as 'maybe'; "
        "left out of the score",
    ]


def test_labels_that_are_numbers(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "x,y", [(str(i), ["2.0", "10"][i % 2]) for i in range(40)])
    data = load(parse_data({"kind": "csv", "path": str(path), "target": "y", "task": "classification"}))
    preparation = again(data)
    assert data.classes == ("2", "10")
    found = fresh(
        preparation, written(tmp_path / "n.csv", "x,y", [("1", "2"), ("1", "10.0"), ("1", "02.00")])
    )
    assert found.answers is not None
    assert found.answers.tolist() == [0, 1, 0]
    assert fresh(preparation, {"x": [1.0, 2.0], "y": np.array([10, 2])}).answers.tolist() == [1, 0]  # type: ignore[union-attr]


def test_a_regressions_answers_are_in_its_own_units(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "x,y", [(str(i), f"{i}.5") for i in range(40)])
    preparation = again(load(parse_data({"kind": "csv", "path": str(path), "target": "y"})))
    found = fresh(preparation, written(tmp_path / "n.csv", "x,y", [("1", "7.5"), ("2", ""), ("3", "much")]))
    assert found.answers is not None
    np.testing.assert_array_equal(found.answers, [7.5, np.nan, np.nan])
    assert found.notes == ["target 'y': 2 cells have no number; left out of the score"]


def test_parquet_and_frames(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(TRAIN, columns=HEADER.split(",")).astype({"age": int, "income": float})
    path = tmp_path / "t.parquet"
    frame.to_parquet(path)
    data = load(parse_data({"kind": "parquet", "path": str(path), "target": "label"}))
    preparation = again(data)
    by_file, by_frame = (
        fresh(preparation, path),
        fresh(preparation, frame[["income", "label", "colour", "age"]]),
    )
    assert x_of(by_file).tobytes() == x_of(by_frame).tobytes()
    assert by_file.answers is not None
    assert by_frame.answers is not None
    np.testing.assert_array_equal(by_file.answers, by_frame.answers)
    # A CSV of the same rows too: numbers are numbers and names names, whatever file they come from.
    as_csv = fresh(preparation, written(tmp_path / "t.csv", HEADER, TRAIN))
    assert x_of(as_csv).tobytes() == x_of(by_file).tobytes()


def test_arrays(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(3, 5, (60, 4))
    data = from_arrays(x, np.arange(60) % 3)
    preparation = again(data)
    assert preparation.inputs.low  # type: ignore[union-attr]
    new = x[:5].copy()
    new[1, 2] = np.nan
    new[2, 0] = 1e4
    np.savez(tmp_path / "n.npz", X=new, y=np.array([0, 1, 2, 3, 1]))
    np.save(tmp_path / "n.npy", new)
    for raw in (tmp_path / "n.npz", tmp_path / "n.npy", new, (new, [0, 1, 2, 3, 1])):
        found = fresh(preparation, raw)
        ((rows, values),) = found.parts()
        assert rows.tolist() == [0, 2, 3, 4]
        assert values.tobytes() == preparation.inputs.apply(new[[0, 2, 3, 4]]).tobytes()
        assert "outside the range of training: 'feature 0'" in found.notes[0]
        if not isinstance(raw, np.ndarray) and not str(raw).endswith(".npy"):
            assert found.answers is not None
            assert found.answers.tolist() == [0, 1, 2, UNKNOWN, 1]
    assert "shape (3,); (4,) is needed" in refused(preparation, new[:, :3])
    (tmp_path / "n.csv").write_text("a,b\n1,2\n")
    assert "give a .npz or .npy file" in refused(preparation, tmp_path / "n.csv")
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04rubbish")
    assert "not a NumPy archive" in refused(preparation, tmp_path / "bad.npz")
    assert "y has 2" in refused(preparation, (new, [0, 1]))


def test_data_that_are_built_in_take_named_columns_too(tmp_path: Path) -> None:
    preparation = again(load(parse_data("iris")))
    names = preparation.inputs.features  # type: ignore[union-attr]
    rows = [("5.1", "3.5", "1.4", "0.2", "setosa"), ("6.3", "3.3", "6.0", "2.5", "2")]
    path = written(tmp_path / "n.csv", ",".join((*names, "target")), rows)
    found = fresh(preparation, path)
    raw = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]
    assert x_of(found).tobytes() == preparation.inputs.apply(raw).tobytes()
    assert found.answers is not None
    assert found.answers.tolist() == [0, 2]


def test_pictures_with_and_without_class_folders(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)
    for at, label in enumerate(("cat", "dog")):
        (tmp_path / "train" / label).mkdir(parents=True)
        for i in range(6):
            image.fromarray(pixels[6 * at + i]).save(tmp_path / "train" / label / f"{i}.png")
    data = load(parse_data({"kind": "images", "path": str(tmp_path / "train")}))
    preparation = again(data)
    found = fresh(preparation, tmp_path / "train")
    files = sorted((tmp_path / "train").rglob("*.png"))
    assert found.files == tuple(map(str, files))
    assert found.answers is not None
    assert found.answers.tolist() == [0] * 6 + [1] * 6
    assert x_of(found).tobytes() == preparation.inputs.apply(files).tobytes()
    plain = tmp_path / "plain"
    plain.mkdir()
    image.fromarray(pixels[3]).save(plain / "a.png")
    image.fromarray(pixels[3][:4]).save(plain / "b.png")
    (plain / "c.png").write_bytes(b"no picture")
    (plain / "notes.txt").write_text("hello")
    some = fresh(preparation, plain)
    ((rows, x),) = some.parts()
    assert (rows.tolist(), some.answers) == ([0], None)
    assert x.tobytes() == preparation.inputs.apply([files[3]]).tobytes()
    assert some.undecided[1] == "4 x 5 pixels, 6 x 5 are needed"
    assert some.undecided[2].startswith("cannot be read as an image")
    assert some.notes == ["1 file is no picture"]
    assert len(x_of(fresh(preparation, [files[0], files[7]]))) == 2
    assert len(x_of(fresh(preparation, files[0]))) == 1
    (plain / "a.png").unlink()
    assert "no other row can be predicted either" in refused(preparation, plain)
    assert "neither a folder of pictures nor a picture" in refused(preparation, plain / "notes.txt")
    (tmp_path / "empty").mkdir()
    assert "there are no pictures in it" in refused(preparation, tmp_path / "empty")


def test_pictures_for_a_model_of_bytes(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 6, 5), dtype=np.uint8)
    preparation = again(from_arrays(pixels, np.arange(40) % 2))
    image.fromarray(pixels[3]).save(tmp_path / "a.png")
    found = fresh(preparation, tmp_path)
    assert x_of(found).tobytes() == preparation.inputs.apply(pixels[3:4]).tobytes()


def test_a_preparation_stored_before_ranges_were_kept_makes_no_note_of_them(tmp_path: Path) -> None:
    content = csv_data(tmp_path).preparation.content()  # type: ignore[union-attr]
    for column in content["inputs"]["columns"]:
        column.pop("low", None)
        column.pop("high", None)
    content["inputs"].pop("text")
    content["target"].pop("column")
    found = fresh(
        Preparation.of(content), written(tmp_path / "a.csv", "age,colour,income", [("999", "red", "0")])
    )
    assert (found.notes, len(x_of(found))) == ([], 1)


def test_what_is_no_data_is_refused_in_one_line(tmp_path: Path) -> None:
    table = again(csv_data(tmp_path))
    cells = {"age": [1.0], "colour": ["red"], "income": [2.0]}
    for raw, words in (
        (None, "x is a NoneType; a data frame or a mapping"),
        ({}, "are missing, which the model needs"),
        ({**cells, "age": [1.0, 2.0]}, "has 1 cell, 'age' has 2"),
        ({**cells, "age": 1.0}, "has cells of shape ()"),
        (np.zeros((2, 3)), "x is a ndarray; a data frame"),
        ((cells, [["no"]]), "y has shape (1, 1)"),
        ("x" * 5000, "File name too long"),
        ("a\0b", "there is no such file"),
    ):
        assert words in refused(table, raw), raw


def test_numbers_and_truth_values_of_a_frame_are_the_names_that_a_file_wrote(tmp_path: Path) -> None:
    """A library reads 007 as 7 and True as a truth value: not unseen levels, and never silently another one."""
    rows = [
        (["007", "012", "1.50"][i % 3], ["True", "False"][i % 2], ["True", "False"][i % 2]) for i in range(60)
    ]
    path = written(tmp_path / "a.csv", "code,flag,label", rows)
    data = load(parse_data({"kind": "csv", "path": str(path), "target": "label", "categorical": ["code"]}))
    frame = {
        "code": np.array([[7, 12, 1.5][i % 3] for i in range(60)], dtype=object),
        "flag": np.array([i % 2 == 0 for i in range(60)]),
        "label": np.array([i % 2 == 0 for i in range(60)]),
    }
    typed, texts = fresh(again(data), frame), fresh(again(data), path)
    assert typed.notes == texts.notes == []
    assert x_of(typed).tobytes() == x_of(texts).tobytes()
    assert typed.answers is not None
    assert texts.answers is not None
    assert typed.answers.tolist() == texts.answers.tolist()


def test_a_number_that_may_be_two_names_is_none_of_them(tmp_path: Path) -> None:
    rows = [(["007", "7", "8"][i % 3], ["01", "1", "2"][i % 3]) for i in range(60)]
    path = written(tmp_path / "a.csv", "code,label", rows)
    data = load(parse_data({"kind": "csv", "path": str(path), "target": "label", "categorical": ["code"]}))
    found = fresh(again(data), {"code": np.array([8, 7]), "label": np.array([2, 1])})
    assert len(x_of(found)) == 1
    assert found.undecided == {1: "column 'code': 7 may be two of its levels; give texts, as in training"}
    assert found.answers is not None
    assert found.answers.tolist() == [data.classes.index("2"), UNKNOWN]
    assert "may be two of the model's classes, such as '1'" in found.notes[-1]
    assert again(data).target.apply([2, 2]).tolist() == [2, 2]
    with pytest.raises(DataError, match="y, row 1: 1 may be two classes"):
        again(data).target.apply([2, 1])


def test_an_empty_name_is_a_new_level_where_training_had_none(tmp_path: Path) -> None:
    """It is all zeros, not filled in as in training."""
    preparation = again(csv_data(tmp_path, missing="impute"))
    path = written(tmp_path / "a.csv", "age,colour,income", [("30", "", "1000"), ("", "red", "1000")])
    assert fresh(preparation, path).notes == [
        "1 empty cell was filled in as in training: 'age' 1",
        "column 'colour': 1 cell with a level that training never saw, all zeros: '' 1",
    ]
