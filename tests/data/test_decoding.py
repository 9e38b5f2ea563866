"""Pictures that are decoded once, and kept."""

import os
from pathlib import Path

import numpy as np
import pytest

from ravine.data import decoding, load, parse_data
from ravine.data.load import loading
from ravine.data.sheet import Sheet
from ravine.errors import DataError

Image = pytest.importorskip("PIL.Image")

SHEET = Sheet(size=(8, 8), mean=(0.5,), std=(0.5,))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "_WORTH_FILES", 10)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "ravine" / "pictures"


def picture(number):
    return np.random.default_rng(number).integers(0, 256, (10, 12, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    for number in range(24):
        path = tmp_path / "pets" / "ab"[number % 2] / f"{number:02}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(number)).save(path)
    return tmp_path / "pets"


def read(folder, sheet=SHEET, **options):
    """The data set, and how many files were decoded for it."""
    steps = loading(parse_data({"kind": "images", "path": str(folder), **options}), reading=sheet)
    said = []
    while True:
        try:
            said.append(next(steps))
        except StopIteration as end:
            return end.value, max((each.all for each in said if each.about == "decoding pictures"), default=0)


def same(one, other):
    for split in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(one, split).x, getattr(other, split).x)
        np.testing.assert_array_equal(getattr(one, split).y, getattr(other, split).y)
    assert one.fingerprint == other.fingerprint
    assert one.notes == other.notes


@pytest.mark.parametrize("sheet", [SHEET, None])
def test_pictures_are_decoded_once(folder, cache, sheet, monkeypatch):
    first, decoded = read(folder, sheet)
    assert decoded == 24
    assert first.verification is None
    monkeypatch.setattr(decoding, "decode", None)  # nothing is opened
    second, decoded = read(folder, sheet)
    assert decoded == 0
    same(first, second)
    second.unchanged()
    assert len(list(cache.iterdir())) == 1
    same(first, load(parse_data({"kind": "images", "path": str(folder)}), reading=sheet))


def test_another_mean_decodes_nothing_and_another_size_all(folder):
    first, _ = read(folder)
    other, decoded = read(folder, Sheet(size=(8, 8), mean=(0.4,), std=(0.2,)))
    assert decoded == 0
    assert other.fingerprint != first.fingerprint
    assert read(folder, SHEET.at(6))[1] == 24
    assert read(folder, None, size=8)[1] == 24
    assert read(folder)[1] == 0


def test_what_is_new_or_changed_is_decoded_and_the_rest_is_not(folder):
    read(folder)
    Image.fromarray(picture(100)).save(folder / "a" / "00.bmp")  # the same size, another time
    os.utime(folder / "a" / "00.bmp", ns=(1, 1))
    Image.fromarray(picture(101)).save(folder / "b" / "new.bmp")
    (folder / "a" / "02.bmp").unlink()
    data, decoded = read(folder)
    assert decoded == 2
    data.unchanged()
    again, decoded = read(folder)
    assert decoded == 0
    same(data, again)
    whole = load(parse_data({"kind": "images", "path": str(folder)}), reading=SHEET)
    same(data, whole)


def test_only_what_is_needed_is_decoded(folder):
    limited, decoded = read(folder, limit=4)
    assert decoded == 4 + len(limited.validation) + len(limited.test)
    _, more = read(folder)
    assert decoded + more == 24
    same(limited, read(folder, limit=4)[0])
    assert read(folder)[1] == 0


def test_a_file_that_changed_in_secret_is_refused(folder):
    before, _ = read(folder)
    file = folder / "a" / "04.bmp"
    known = file.stat()
    Image.fromarray(picture(100)).save(file)
    os.utime(file, ns=(known.st_atime_ns, known.st_mtime_ns))
    assert file.stat().st_size == known.st_size
    data, decoded = read(folder)
    assert decoded == 0
    data.verification.start()
    with pytest.raises(DataError) as error:
        data.unchanged()
    assert str(error.value) == (
        f"{file}: the content has changed, although size and time of the file have not; what was kept of them has been "
        "removed: the same call decodes them anew"
    )
    data, decoded = read(folder)
    assert decoded == 24
    data.unchanged()
    assert data.fingerprint != before.fingerprint
    Image.fromarray(picture(101)).save(file)
    os.utime(file, ns=(known.st_atime_ns, known.st_mtime_ns))
    with pytest.raises(DataError, match="has changed"):  # a plain `load` looks before it returns
        load(parse_data({"kind": "images", "path": str(folder)}), reading=SHEET)


def test_damage_to_the_cache_is_refused(folder, cache):
    read(folder)
    (path,) = cache.iterdir()
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    data, _ = read(folder)
    with pytest.raises(DataError, match="pictures in the cache are damaged"):
        data.unchanged()
    assert read(folder)[1] == 24


def test_without_a_cache_pictures_are_read_each_time(folder, tmp_path, monkeypatch):
    first, _ = read(folder)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    second, decoded = read(folder)
    assert decoded == 24
    same(first, second)


def test_grey_pictures_take_colours_when_one_has_them(folder):
    for path in folder.glob("*/*.bmp"):
        Image.open(path).convert("L").save(path)
    grey, _ = read(folder, None)
    assert grey.input_shape == (1, 10, 12)
    Image.fromarray(picture(9)).save(folder / "a" / "colour.bmp")
    data, decoded = read(folder, None)
    assert data.input_shape == (3, 10, 12)
    assert decoded == 25


def test_pictures_of_arrays_are_kept_too(cache, monkeypatch):
    from ravine.data import by_sheet

    monkeypatch.setattr(by_sheet, "_WORTH_BYTES", 1000)
    first = load(parse_data({"kind": "digits", "limit": 100}), reading=SHEET)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(by_sheet, "_each", None)
    same(first, load(parse_data({"kind": "digits", "limit": 100}), reading=SHEET))


def test_names_that_are_no_text(folder):
    name = os.fsencode(folder / "a") + b"/\xff.bmp"
    try:
        Image.fromarray(picture(7)).save(Path(os.fsdecode(name)))
    except OSError:
        pytest.skip("this file system has texts for names")
    read(folder)
    assert read(folder)[1] == 0
