"""Numbers as texts: what is read, what is asked, and that no hint makes a number wrong."""

import re

import numpy as np
import pytest

from ravine.data import load, parse_data
from ravine.data.numerals import Numerals
from ravine.errors import DataError


def written(number, decimal, thousands):
    """A number as people of that convention write it."""
    whole, _, part = f"{number:,}".partition(".")
    return whole.replace(",", thousands or "") + (decimal + part if part else "")


def read(path, cells, **options):
    """The numbers of column a, sorted, or the line that is said instead."""
    rows = [f'"{cell}";{"no" if i % 2 else "yes"}' for i, cell in enumerate(cells)]
    path.write_text("\n".join(["a;y", *rows]) + "\n", encoding="utf-8")
    try:
        data = load(
            parse_data({"kind": "csv", "path": str(path), "target": "y", "normalize": "none", **options})
        )
    except DataError as error:
        return str(error)
    if data.features != ("a",):
        return data.features
    return sorted(float(v) for part in (data.train, data.validation, data.test) for v in part.x[:, 0])


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["1,001", "3"], 'can be read in two ways; say decimal = "," or thousands = ",", or put'),
        (["1,001", "3.5"], 'is a number with commas between thousands; say thousands = ",", or put'),
        (["1,001", "2,5"], 'is a number with a decimal comma; say decimal = ",", or put'),
        (["1,001", "1,234,567"], 'is a number with commas between thousands; say thousands = ",", or put'),
        (["12,34,567", "3"], 'is a number with commas between thousands; say thousands = ",", or put'),
        (
            ["1.234.567", "3"],
            'is a number with points between thousands; say decimal = ",", thousands = ".", or',
        ),
        (
            ["1.234,5", "3"],
            'is a number with points between thousands; say decimal = ",", thousands = ".", or',
        ),
        (["1 234", "3"], 'is a number with spaces between thousands; say thousands = " ", or put'),
        (
            ["1 234,5", "3"],
            'is a number with spaces between thousands; say decimal = ",", thousands = " ", or',
        ),
        (["1'234", "3"], 'is a number with apostrophes between thousands; say thousands = "\'", or put'),
        (["2,5", "1,234.5"], "is a number, but those of the column are not all written in one way"),
        (["$1,200", "$3"], "is an amount with a currency sign; take the sign out of the column, or put"),
        (["3 €", "4 €"], "is an amount with a currency sign; take the sign out of the column, or put"),
        (["USD 7", "-£4"], "is an amount with a currency sign; take the sign out of the column, or put"),
        (["5%", "12.5 %"], "is a percentage; take the sign out of the column, or put"),
    ],
)
def test_what_is_said_of_numbers_that_are_written_in_another_way(tmp_path, cells, said):
    found = read(tmp_path / "t.csv", cells * 10)
    assert f"line 2: column 'a': {cells[0]!r} {said}" in found
    # A target is asked about in the same way, and never becomes classes.
    path = tmp_path / "y.csv"
    path.write_text("a;y\n" + "".join(f'{i * i};"{cells[i % 2]}"\n' for i in range(30)))
    with pytest.raises(DataError, match=re.escape(f"column 'y': {cells[0]!r} {said}")):
        load(parse_data({"kind": "csv", "path": str(path), "target": "y"}))


@pytest.mark.parametrize(
    ("options", "cell", "number"),
    [
        ({"thousands": ","}, "1,234,567.5", 1234567.5),
        ({"thousands": ","}, "-1,001", -1001),
        ({"thousands": ","}, "12,34,567", 1234567),
        ({"thousands": ","}, "1234", 1234),
        ({"thousands": ".", "decimal": ","}, "1.234.567,5", 1234567.5),
        ({"thousands": ".", "decimal": ","}, "1.234", 1234),
        ({"thousands": " ", "decimal": ","}, "1\u202f234,5", 1234.5),
        ({"thousands": " "}, "1\u00a0234 567", 1234567),
        ({"thousands": "'"}, "1'234.5", 1234.5),
        ({"decimal": ","}, "1,001", 1.001),
        ({"decimal": ","}, "1,5e3", 1500),
    ],
)
def test_numbers_are_read_as_they_are_said_to_be_written(tmp_path, options, cell, number):
    found = read(tmp_path / "t.csv", [cell, "3", "4"] * 8, **options)
    assert found == sorted([np.float32(number), 3.0, 4.0] * 8)


@pytest.mark.parametrize(
    ("options", "cell", "said"),
    [
        ({"thousands": ","}, "3,5", 'has a comma that is not between thousands, but thousands = ","'),
        ({"thousands": ","}, "1,00", 'has a comma that is not between thousands, but thousands = ","'),
        ({"decimal": ","}, "1.5", 'has a point, but decimal = ","; if points separate thousands, say'),
        ({"decimal": ","}, "1,234,567", 'has commas between thousands, but decimal = ","'),
        ({"decimal": ",", "thousands": "."}, "1.5", "has a point that is not between thousands, but decimal"),
    ],
)
def test_a_number_that_does_not_fit_is_refused(tmp_path, options, cell, said):
    found = read(tmp_path / "t.csv", [cell, "3", "4"] * 8, **options)
    assert f"line 2: column 'a': {cell!r} {said}" in found


STYLES = [(",", None), (".", ","), (",", "."), (".", " "), (",", " "), (".", "'")]


@pytest.mark.parametrize(("decimal", "thousands"), STYLES)
@pytest.mark.parametrize("seed", range(6))
def test_whoever_follows_a_hint_gets_the_numbers(tmp_path, decimal, thousands, seed):
    """Numbers of any convention: read at once, or by the keys that are advised, they are right."""
    rng = np.random.default_rng(seed)
    digits = [0, 1, 2, 3][seed % 4]
    numbers = [round(float(v), digits) for v in rng.uniform(1, 10 ** (3 + seed), 24)]
    numbers = [int(v) if digits == 0 else v for v in numbers]
    cells = [written(number, decimal, thousands) for number in numbers]
    truth = sorted(float(np.float32(number)) for number in numbers)
    found = read(tmp_path / "t.csv", cells)
    if isinstance(found, list):
        # Points alone may be decimal ones or not: nobody can know. All else must have been read right.
        assert found == truth or (thousands == "." and all(re.fullmatch(r"[0-9.]+", cell) for cell in cells))
        return
    hint = found.partition("say ")[2].partition(", or put")[0]
    ways = [dict(re.findall(r'(\w+) = "(.)"', way)) for way in hint.split(" or ")]
    assert any(read(tmp_path / "t.csv", cells, **way) == truth for way in ways), found
    if len(ways) == 1:
        assert read(tmp_path / "t.csv", cells, **ways[0]) == truth


def test_signs_that_are_one_are_refused():
    spec = {"kind": "csv", "path": "x.csv", "target": "y"}
    for keys in ({"thousands": "."}, {"thousands": ",", "decimal": ","}):
        with pytest.raises(Exception, match=r"is the decimal sign too; say decimal = "):
            parse_data({**spec, **keys})


def test_names_that_look_like_nothing_stay_names():
    for text in ("1_000", "1.2.3.4", "030 123 456", "a,b", "1,2,3", "0,001,000", ",", "", "1,", "$", "%"):
        assert Numerals().plain(text) is None
        assert Numerals(thousands=",").plain(text) is None
