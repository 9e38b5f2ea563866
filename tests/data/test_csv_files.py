"""CSV files as people have them: comments, spaces, Excel's first line, other encodings, NA as a name."""

import re

import numpy as np
import pytest

from ravine.data import from_arrays, load, parse_data
from ravine.errors import DataError, StudyError

ROWS = [f"{i * i / 2},{['red', 'blue'][i % 2]},{['no', 'yes'][i // 2 % 2]}" for i in range(30)]
PLAIN = "\n".join(["size,colour,y", *ROWS]) + "\n"


def read(path, content, **options):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load(parse_data({"kind": "csv", "path": str(path), "target": "y", **options}))


def refused(path, content, **options):
    with pytest.raises(DataError) as error:
        read(path, content, **options)
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(f"{path}: ")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "t.csv"


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("sep=;\n" + PLAIN.replace(",", ";"), {}),
        ("SEP=,\r\n" + PLAIN.replace("\n", "\r\n"), {}),
        (PLAIN.replace(",", ", "), {}),
        (PLAIN.replace(",", "|"), {"delimiter": "|"}),
        (PLAIN.replace(",", "   "), {"delimiter": " "}),
        ("".join(f"  {line}  \n" for line in PLAIN.replace(",", " ").splitlines()), {"delimiter": " "}),
        ("\ufeff" + PLAIN, {"encoding": "UTF-8"}),
        ("# made by hand\n" + PLAIN, {"comment": "#"}),
        (PLAIN.replace("\n1", '\n# a, comment, " with quotes\n1'), {"comment": "#"}),
        (PLAIN.replace("\n", "\n\n"), {}),
        ("\ufeff" + PLAIN, {}),
        (PLAIN.encode("utf-16"), {"encoding": "utf-16"}),
        (PLAIN.encode("utf-16-le"), {"encoding": "utf-16-le"}),
        (PLAIN.encode("latin-1"), {"encoding": "latin-1"}),
    ],
)
def test_the_same_table_written_in_other_ways(path, content, options):
    assert read(path, content, **options).fingerprint == read(path, PLAIN).fingerprint


def test_quotes_after_a_space_and_comments_inside_quotes(path):
    text = "size, name, y\n" + "".join(f'{i * i}, "a, {i % 2}\n#b", {i % 2}\n' for i in range(20))
    assert read(path, text, comment="#").features == ("size", "name=a, 0\n#b", "name=a, 1\n#b")
    assert "line 6: column 'size': 'x'" in refused(path, text.replace("\n4,", "\nx,"), comment="#")


def test_lines_are_counted_with_comments(path):
    text = "# one\nsize,y\n# two\n1,no\n#three\nx,yes\n" + "1,no\n2,yes\n" * 9
    assert refused(path, text, comment="#").startswith(f"{path}, line 6: column 'size': 'x' is not a number")
    assert (
        refused(path, text.replace("x,yes", "1"), comment="#") == f"{path}, line 6: 1 cell, the header has 2"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "# made by hand\na,y\n1,2\n",
            "the first line, '# made by hand', is a comment; if lines that begin with '#'",
        ),
        ("a y\n1 2\n", "only one column, 'a y'; if spaces separate the cells, say delimiter = \" \""),
        ("a|y\n1|2\n", "only one column, 'a|y'; if '|' separate the cells, say delimiter = \"|\""),
        ("y\n1\n2\n", "only one column, 'y'; a table needs one to predict and another to predict it from"),
        ("a\0,y\n1,2\n", "has NUL bytes: not a text file"),
    ],
)
def test_a_header_of_one_column(path, text, said):
    assert refused(path, text).startswith(said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "größe,y\n1,2\n".encode("latin-1"),
            'not UTF-8 text (byte 2); it may be Latin-1: say encoding = "latin-1"',
        ),
        (
            "“a”,y\n1,2\n".encode("cp1252"),
            'not UTF-8 text (byte 0); it may be Windows-1252: say encoding = "cp1252"',
        ),
        (PLAIN.encode("utf-16"), 'UTF-16 text, not UTF-8: say encoding = "utf-16"'),
        (PLAIN.encode("utf-16-le"), 'UTF-16 text, not UTF-8: say encoding = "utf-16-le"'),
        (PLAIN.encode("utf-16-be"), 'UTF-16 text, not UTF-8: say encoding = "utf-16-be"'),
        (PLAIN.encode("utf-32"), 'UTF-32 text, not UTF-8: say encoding = "utf-32"'),
        (bytes(range(256)) * 4, "has NUL bytes: not a text file"),
    ],
)
def test_other_encodings_are_named_with_the_key(path, content, said):
    assert refused(path, content).startswith(said)
    key = re.findall(r'encoding = "(\S+)"', said)
    if key and b"size" in content.replace(b"\0", b""):
        assert read(path, content, encoding=key[0]).fingerprint == read(path, PLAIN).fingerprint


def test_an_encoding_that_is_none_or_wrong(path):
    for name in ("utf-99", "base64", "rot13"):
        with pytest.raises(StudyError, match=r"data\.csv\.encoding|data\.encoding"):
            parse_data({"kind": "csv", "path": "x", "target": "y", "encoding": name})
    assert refused(path, "größe,y\n1,2\n".encode("latin-1"), encoding="ascii").startswith(
        "not ascii text (byte 2)"
    )


def test_na_is_a_name_where_the_column_is_one_of_names(path):
    text = "size,land,y\n" + "".join(f"{i * i},{('NA', 'FR', '')[i % 3]},{i % 2}\n" for i in range(30))
    assert read(path, text, missing="impute").features == ("size", "land=FR", "land=missing")
    data = read(path, text, missing="impute", categorical=["land"])
    assert data.features == ("size", "land=FR", "land=NA", "land=missing")
    assert "column 'land' is in categorical: 'NA' is a name in it, not an empty cell" in data.notes


def test_duplicates_in_every_header(path):
    assert refused(path, "a,a ,y\n1,2,3\n") == "column 'a' is in the header twice"
    assert refused(path, "a,a,a,y\n1,2,3,4\n") == "column 'a' is in the header 3 times"


def test_copies_between_splits_are_counted_and_named(path):
    rows = [f"{i},{i % 2}\n" for i in range(100, 130)]
    data = read(path, "size,y\n" + "".join(rows), split_seed=1)
    assert not any("cop" in note for note in data.notes)
    test = path.with_name("test.csv")
    test.write_text("size,y\n" + rows[3] + "7.5,1\n" + rows[4] + "103,0\n")
    data = read(path, "size,y\n" + "".join(rows), test_path=str(test), validation=0.1)
    copies = [note for note in data.notes if "cop" in note]
    assert len(copies) == 1
    number = int(copies[0].split()[0])
    train = {(float(x), int(y)) for x, y in zip(data.train.x[:, 0], data.train.y, strict=True)}
    assert number == sum(
        (float(x), int(y)) in train for x, y in zip(data.test.x[:, 0], data.test.y, strict=True)
    )
    shown = r"\d of 4 test examples (is a|are) cop.*: .*test.csv, line \d is .*, line \d+"
    assert re.fullmatch(shown, copies[0])


def test_copies_of_many_are_found():
    x = np.random.default_rng(0).integers(0, 3, (400, 4)).astype(float)
    y = x[:, 0] > 1
    data = from_arrays(x, y)
    train = {(*row.tolist(), int(label)) for row, label in zip(data.train.x, data.train.y, strict=True)}
    for name in ("validation", "test"):
        part = getattr(data, name)
        number = sum((*row.tolist(), int(label)) in train for row, label in zip(part.x, part.y, strict=True))
        assert any(
            note.startswith(f"{number} of {len(part)} {name} examples are copies") for note in data.notes
        )


def test_copies_of_pictures_are_copies_to_the_last_pixel():
    x = np.random.default_rng(0).integers(0, 256, (60, 9, 9), dtype=np.uint8)
    test = x[:6].copy()
    test[:3, 4, 4] ^= 1  # one pixel is another
    y = np.arange(60) % 2
    notes = from_arrays(x, y, x_test=test, y_test=y[:6], x_validation=x[:2], y_validation=1 - y[:2]).notes
    copies = [note for note in notes if "cop" in note]
    assert copies == [
        "3 of 6 test examples are copies of training examples: arrays, x_test, row 3 is arrays, x, row 3"
    ]
