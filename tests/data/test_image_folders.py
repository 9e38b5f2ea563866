"""Folders that are classes, and folders that are splits, by their usual names."""

from contextlib import suppress

import numpy as np
import pytest

from ravine.data import load, parse_data
from ravine.data.image_folders import split_of
from ravine.errors import DataError

Image = pytest.importorskip("PIL.Image")


def draw(folder, count=5):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = np.random.default_rng([number, *str(folder).encode()]).integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


def grow(root, folders):
    for name in folders:
        draw(root / name)
    return root


def images(path, **options):
    return load(parse_data({"kind": "images", "path": str(path), **options}))


def sizes(data):
    return len(data.train), len(data.validation), len(data.test)


@pytest.mark.parametrize(
    ("names", "shape"),
    [
        (("Train", "Test"), (8, 2, 10)),
        (("TRAINING", "TESTING"), (8, 2, 10)),
        (("training_set", "test_set"), (8, 2, 10)),
        (("train", "Valid", "holdout"), (10, 10, 10)),
        (("Train", "dev", "eval"), (10, 10, 10)),
        (("train-data", "validation data"), (8, 10, 2)),
        (("train",), (6, 2, 2)),
    ],
)
@pytest.mark.parametrize("inside", ["", "pets/", "data/pets/"])
def test_splits_in_any_capitals_and_depth(tmp_path, names, shape, inside):
    grow(tmp_path, [f"{inside}{name}/{label}" for name in names for label in ("cat", "dog")])
    data = images(tmp_path)
    assert data.classes == ("cat", "dog")
    assert sizes(data) == shape


@pytest.mark.parametrize(
    "folders",
    [
        ["train/train/cat", "train/train/dog", "test/test/cat", "test/test/dog"],
        ["cat/Train", "cat/Test", "dog/Train", "dog/Test"],
        ["train/images/cat", "train/images/dog", "test/images/cat", "test/images/dog"],
    ],
)
def test_splits_one_folder_deeper(tmp_path, folders):
    data = images(grow(tmp_path, folders))
    assert data.classes == ("cat", "dog")
    assert sizes(data) == (8, 2, 10)


@pytest.mark.parametrize("folders", [["valid", "invalid"], ["test", "control"], ["dev", "prod"]])
def test_classes_that_are_called_like_splits(tmp_path, folders):
    data = images(grow(tmp_path, folders))
    assert data.classes == tuple(sorted(folders))
    assert any("although it names a split" in note for note in data.notes)


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        (
            ["train", "bus", "car"],
            "'train' names a split, 'bus' beside it does not; say layout = \"classes\" if both",
        ),
        (
            ["Train/cat", "Train/dog", "extra/cat"],
            "'Train' names a split, 'extra' beside it does not; say layout",
        ),
        (
            ["cat", "dog", "Test/cat", "Test/dog"],
            "'Test' names a split, 'cat' beside it does not; say layout",
        ),
        (
            ["Test/cat", "Valid/cat"],
            "'Test' names a split, but no folder names the training examples; name one train",
        ),
        (["test/cat", "test/dog"], "'test' names a split, but no folder names the training examples"),
        (
            ["train/cat", "Training/cat", "test/cat"],
            "more than one training folder: Training, train; keep one",
        ),
        (["train/cat", "val/cat", "dev/cat"], "more than one validation folder: dev, val; keep one of them"),
        (["Train", "Test"], "there are no class folders in it"),
        (
            ["cat/train", "cat/other", "dog/train"],
            "'train' in it names a split, what is beside it does not; move",
        ),
    ],
)
def test_what_cannot_be_known_is_asked_in_one_line(tmp_path, folders, said):
    with pytest.raises(DataError) as error:
        images(grow(tmp_path, folders))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_the_layout_may_be_said(tmp_path):
    data = images(grow(tmp_path / "a", ["train", "bus", "car"]), layout="classes")
    assert data.classes == ("bus", "car", "train")
    with pytest.raises(DataError, match=r"extra: no split has that name; known: train, training, "):
        images(grow(tmp_path / "b", ["train/cat", "extra/cat"]), layout="splits")


def test_what_systems_leave_behind_is_no_class(tmp_path):
    grow(tmp_path, ["cat", "dog", "__MACOSX/cat", ".Trash", "@eaDir", "cat/.ipynb_checkpoints"])
    for name in (".DS_Store", "Thumbs.db", "cat/desktop.ini", "cat/.DS_Store"):
        (tmp_path / name).write_bytes(b"x")
    data = images(tmp_path)
    assert data.classes == ("cat", "dog")
    assert sizes(data) == (6, 2, 2)
    assert not [note for note in data.notes if "left out" in note]


def test_names_of_splits():
    assert [split_of(name) for name in ("Train", "train_set", "TestSet", "VAL", "hold-out")] == [
        0,
        0,
        2,
        1,
        2,
    ]
    assert not any(split_of(name) is not None for name in ("cat", "trainer", "tests", "invalid", "1", ""))


def test_a_check_reads_headers_and_a_limit_spares_pixels(tmp_path):
    grow(tmp_path, ["cat", "dog"])
    whole, blank = images(tmp_path), load(parse_data({"kind": "images", "path": str(tmp_path)}), blank=True)
    assert (sizes(blank), blank.input_shape, blank.classes) == (
        sizes(whole),
        whole.input_shape,
        whole.classes,
    )
    assert not blank.train.x.any()
    for split, kept in (("train", 2), ("validation", 2), ("test", 2)):
        assert len(getattr(images(tmp_path, limit=2), split)) == kept
    # An example that the limit leaves out is not decoded: here every one that can be is broken behind its header.
    limited = images(tmp_path, limit=2)
    broken = 0
    for file in sorted(tmp_path.rglob("*.png")):
        content = file.read_bytes()
        file.write_bytes(content[:60])
        with suppress(DataError):
            broken += images(tmp_path, limit=2).fingerprint == limited.fingerprint
        file.write_bytes(content)
    assert broken == 4  # of ten, six are used


@pytest.mark.parametrize("names", [("seg_train", "seg_test"), ("01-train", "02-test"), ("X_train", "X_test")])
def test_splits_by_one_word_of_their_names(tmp_path, names):
    data = images(grow(tmp_path, [f"{name}/{kind}" for name in names for kind in ("cat", "dog")]))
    assert data.classes == ("cat", "dog")
    assert len(data.test) == len(data.train) + len(data.validation)


@pytest.mark.parametrize("names", [("tr", "te"), ("fold1", "fold2"), ("entrenamiento", "prueba")])
def test_folders_with_the_same_folders_in_them_are_asked_about(tmp_path, names):
    grow(tmp_path, [f"{name}/{kind}" for name in names for kind in ("cat", "dog")])
    with pytest.raises(
        DataError, match="have the same folders in them \\('cat', 'dog'\\): if they are splits"
    ) as error:
        images(tmp_path)
    assert "\n" not in str(error.value)
    assert images(tmp_path, layout="classes").classes == tuple(sorted(names))
