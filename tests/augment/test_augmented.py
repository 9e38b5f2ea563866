"""`ravine.augmented`, and how the keys of ``augment`` are read and checked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from augmenting import pixels

import ravine
from ravine.augment.spec import check_augment, read_augment
from ravine.errors import InputError, StudyError

GIVEN = {"seed": 1, "epoch": 2, "examples": [5, 9, 0, 3]}
RECIPE = {
    "flip": 0.5,
    "crop": {"pad": 2, "fill": "reflect"},
    "rotate": 10,
    "brightness": 0.4,
    "cutout": {"size": 0.25, "fill": "black"},
}


def bytes_of(num: int = 4) -> np.ndarray:
    return (pixels(num) * 255).byte().numpy()


def test_arrays_and_tensors_bytes_and_floats_are_the_same_pictures() -> None:
    x, y = bytes_of(), np.arange(4)
    found, same = ravine.augmented(x, y, RECIPE, **GIVEN)
    assert isinstance(found, np.ndarray)
    assert same is y
    for other in (torch.from_numpy(x), x.astype(np.float32) / 255):
        again, _ = ravine.augmented(other, y, RECIPE, **GIVEN)
        assert type(again) is type(other)
        np.testing.assert_array_equal(np.asarray(again), found)
    assert found.dtype == np.float32
    still, labels = x.copy(), y.copy()
    still.flags.writeable = labels.flags.writeable = (
        False  # as of a file that is mapped: no warning of PyTorch's
    )
    np.testing.assert_array_equal(ravine.augmented(still, labels, RECIPE, **GIVEN)[0], found)
    plain = ravine.augmented(x, y, {}, **GIVEN)[0]
    np.testing.assert_array_equal(plain, x.astype(np.float32) / 255)


def test_an_example_looks_the_same_in_any_batch_and_torchs_generator_has_no_say() -> None:
    x = bytes_of()
    whole = ravine.augmented(x, None, RECIPE, **GIVEN)[0]
    torch.manual_seed(5)
    one = ravine.augmented(x[1:2], None, RECIPE, seed=1, epoch=2, examples=torch.tensor([9]))[0]
    np.testing.assert_array_equal(one[0], whole[1])
    assert not np.array_equal(ravine.augmented(x, None, RECIPE, **{**GIVEN, "epoch": 3})[0], whole)


def test_means_and_principal_colours_are_those_of_the_training_set() -> None:
    x = bytes_of(40)
    given = {"settings": {"pca": 0.1, "cutout": 0.5, "crop": 2, "fill": "mean"}, "training": x}
    found = ravine.augmented(x[:4], None, **given, **GIVEN)[0]
    alone = ravine.augmented(x[1:2], None, **given, seed=1, epoch=2, examples=[9])[0]
    np.testing.assert_array_equal(alone[0], found[1])


def test_a_dropped_cell_comes_from_the_training_set_and_not_from_the_batch() -> None:
    rows = np.arange(60, dtype=np.float32).reshape(20, 3)
    given = {"settings": {"cell_dropout": 0.5}, "seed": 1, "epoch": 2, "training": rows}
    whole = ravine.augmented(rows, None, **given, examples=np.arange(20))[0]
    assert len({*whole[whole != rows] // 3}) > 8
    few = ravine.augmented(rows[[7, 3]], None, **given, examples=np.array([7, 3], dtype=np.uint8))[0]
    np.testing.assert_array_equal(few, whole[[7, 3]])


def test_answers_are_mixed() -> None:
    mix = {"mixup": 0.5, "draw": "batch"}
    _, soft = ravine.augmented(bytes_of(), [0, 1, 2, 2], mix, **GIVEN, num_classes=3)
    assert soft.shape == (4, 3)
    assert len(np.unique(soft[:2].max(1))) == 1
    _, numbers = ravine.augmented(torch.rand(4, 7), torch.rand(4), {"mixup": 0.5, "noise": 0.1}, **GIVEN)
    assert numbers.shape == (4,)


@pytest.mark.parametrize(("change", "line"), [
    ({"settings": {"flipp": 0.5}}, "settings.flipp: unknown key; did you mean 'flip'?"),
    ({"settings": {"flip": 1.5}}, "settings: flip = 1.5: must be a number of at least 0 and at most 1"),
    ({"settings": {"flip": [0.0, 0.5]}}, "settings: flip = [0.0, 0.5]: must be a number"),
    ({"settings": {"crop": 8}}, "settings.crop = 8.0: the padding must be smaller than the picture, 8 x 8"),
    ({"settings": {"noise": 0.1}}, "settings.noise = 0.1: is for tables"),
    ({"settings": {"mixup": 0.1}}, "num_classes = None: mixup and cutmix"),
    ({"settings": {"cutmix": 0.1}, "y": torch.rand(4)}, "settings.cutmix = 0.1: is for classification"),
    ({"x": torch.full((4, 3, 8, 8), 1.5)}, "x: pixels lie from 1.5 to 1.5, they must be in [0, 1]"),
    ({"x": torch.full((4, 3, 8, 8), float("nan"))}, "x: pixels lie from nan to nan"),
    ({"x": torch.rand(4, 1, 8, 8), "settings": {"hue": 0.1}}, "settings.hue = 0.1: needs pictures of 3 channels"),
    ({"x": torch.zeros(4, 3, 8, 8, dtype=torch.int64)}, "x: must be uint8 pictures or floats, not int64"),
    ({"x": "no"}, "x = 'no': must be a tensor"),
    ({"x": torch.zeros(4, 3, 0, 8)}, "x: must be pictures (B, C, H, W) or rows"),
    ({"x": torch.rand(4, 7), "settings": {"cell_dropout": 0.1}}, "training = None: cell_dropout takes"),
    ({"x": torch.rand(4, 7), "settings": {"noise": 0.1}, "training": torch.rand(9, 6)}, "training: must be rows (N"),
    ({"x": torch.rand(4, 256), "settings": {"noise": 0.1}, "examples": [0, 1, 2, 2**24]}, "examples = [0, 1, 2, 1677"),
    ({"examples": np.full(4, 2**63, dtype=np.uint64)}, "examples = array([9223372036854775808,"),
    ({"seed": 2**63}, "seed = 9223372036854775808: must be a whole number from -9,223"),
    ({"examples": [1, 2]}, "examples = [1, 2]: must be 4 whole numbers"),
    ({"examples": [1, 2, 3, -1]}, "examples = [1, 2, 3, -1]: must be from 0 to"),
    ({"settings": {"cutout": 0.5}}, "training = None: cutout fills with the mean of the training set"),
    ({"settings": {"pca": 0.5}}, "training = None: pca needs"),
    ({"settings": {"fill": "mean", "rotate": 5}}, "training = None: fill = 'mean'"),
    ({"settings": {"pca": 0.5}, "training": torch.rand(4, 3, 8, 8) + 1}, "training: pixels lie from"),
    ({"settings": {"fill": "mean", "crop": 2}, "training": torch.rand(4, 1, 8, 8)}, "training: must be pictures (N, 3"),
    ({"y": ["a", "b", "c", "d"]}, "y = ['a', 'b', 'c', 'd']: must be integers"),
    ({"y": [0, 1]}, "y: must have shape (4,)"),
    ({"settings": {"mixup": 0.1}, "num_classes": 3}, "y = [0, 1, 2, 3]: must be classes from 0 to 2"),
    ({"examples": "abcd"}, "examples = 'abcd': must be 4 whole numbers"),
    ({"epoch": -1}, "epoch = -1: must be a whole number"),
    ({"settings": [1]}, "settings = [1]: must be a table"),
])  # fmt: skip
def test_faults_are_one_line(change: dict, line: str) -> None:
    given = {"x": bytes_of(), "y": [0, 1, 2, 3], "settings": RECIPE, **GIVEN, **change}
    with pytest.raises(InputError) as caught:
        ravine.augmented(given.pop("x"), given.pop("y"), given.pop("settings"), **given)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_an_unknown_argument_is_no_generator_that_is_swallowed() -> None:
    with pytest.raises(TypeError, match="generator"):
        ravine.augmented(bytes_of(), None, RECIPE, **GIVEN, generator=torch.Generator())


def test_keys_of_a_study_are_strengths_and_options() -> None:
    options, given = read_augment({
        "flip": 0.5, "crop": {"pad": [0, 4], "fill": "reflect"}, "cutout": {"size": 0.5, "fill": "black"},
        "rotate": {"linear": [0, 30], "num": 3}, "order": "random",
    })  # fmt: skip
    assert options.changed() == {"fill": "reflect", "cutout_fill": "black", "order": "random"}
    assert given == {"flip": 0.5, "crop": [0, 4], "cutout": 0.5, "rotate": {"linear": [0, 30], "num": 3}}


@pytest.mark.parametrize(("table", "line"), [
    ({"crop": {"fill": "mean"}}, "augment.crop.pad: missing, it must be given"),
    ({"crop": {"pad": 4, "fil": "mean"}}, "augment.crop.fil: unknown key"),
    ({"crop": {"pad": 4, "fill": "mean"}, "fill": "black"}, "augment.fill = 'black': is given twice"),
    ({"order": "any"}, "augment.order = 'any': allowed: fixed, random"),
    ({"fill": 3}, "augment.fill = 3: "),
    ("flip", "augment = 'flip': must be a table"),
])  # fmt: skip
def test_faults_of_a_study_are_one_line(table: object, line: str) -> None:
    with pytest.raises(StudyError) as caught:
        read_augment(table)
    assert str(caught.value).startswith(line)


def test_pictures_and_tables_have_techniques_of_their_own() -> None:
    with pytest.raises(
        StudyError, match=r"augment.flip = 0.5: is for pictures, an example here has 13 numbers"
    ):
        check_augment({"flip": 0.5}, (13,), "classification")
    with pytest.raises(StudyError, match=r"augment.noise = 0.1: is for tables, .* allowed: flip, .*, mix_p$"):
        check_augment({"noise": 0.1}, (3, 8, 8), "classification")
    check_augment({"mixup": 0.2, "noise": 0.1, "cell_dropout": 0.1}, (13,), "regression")
    with pytest.raises(StudyError, match=r"augment.brightness = 0.1: needs pictures of 1 or 3 channels"):
        check_augment({"brightness": 0.1}, (4, 8, 8), "classification")
