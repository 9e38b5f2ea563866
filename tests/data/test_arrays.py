"""Arrays, tensors, frames, torch datasets and NumPy archives."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import dok_matrix
from sklearn.datasets import load_digits, load_iris

from ravine.data import from_arrays, from_torch_dataset, load, parse_data

IRIS = load_iris()


def same(one, other):
    return one.fingerprint == other.fingerprint


def test_arrays_are_the_data_set_they_came_from():
    data = from_arrays(IRIS.data, IRIS.target, name="iris", class_names=IRIS.target_names)
    assert same(data, load(parse_data("iris")))


def test_tensors_lists_and_texts():
    data = from_arrays(IRIS.data, IRIS.target)
    assert same(data, from_arrays(torch.tensor(IRIS.data), torch.tensor(IRIS.target)))
    assert same(data, from_arrays(torch.tensor(IRIS.data, requires_grad=True), IRIS.target[:, None]))
    assert same(data, from_arrays(IRIS.data.tolist(), IRIS.target.tolist()))
    assert from_arrays(torch.tensor(IRIS.data).bfloat16(), IRIS.target).input_shape == (4,)
    assert from_arrays(IRIS.data, IRIS.target_names[IRIS.target]).classes == tuple(IRIS.target_names)
    assert from_arrays(IRIS.data, IRIS.target == 1).classes == ("0", "1")
    assert from_arrays(IRIS.data, IRIS.target.astype(np.float32) + 0.5).task == "regression"


def test_given_splits_are_kept():
    order = np.random.default_rng(0).permutation(150)
    x, y = IRIS.data[order], IRIS.target[order]
    data = from_arrays(
        x[:90],
        y[:90],
        x_validation=x[90:120],
        y_validation=y[90:120],
        x_test=x[120:],
        y_test=y[120:],
        normalize="none",
    )
    for split, rows in (
        (data.train, slice(90)),
        (data.validation, slice(90, 120)),
        (data.test, slice(120, None)),
    ):
        assert np.array_equal(split.x, x[rows].astype(np.float32))
        assert np.array_equal(split.y, y[rows])


def test_frames_with_texts():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"size": np.arange(30) / 3, "colour": [["red", "blue"][i // 2 % 2] for i in range(30)]}
    )
    frame.loc[0, "size"] = None
    y = pandas.Series(["yes", "no"] * 15)
    data = from_arrays(frame, y, missing="impute")
    assert data.features == ("size", "colour=blue", "colour=red")
    assert data.classes == ("no", "yes")


def test_a_mapping_of_names_to_columns_is_a_frame():
    columns = {"size": np.arange(20.0), "colour": ["red", "blue"] * 10}
    y = np.arange(20) % 3
    frame = pd.DataFrame(columns)
    assert from_arrays(columns, y).fingerprint == from_arrays(frame, y).fingerprint
    dense = np.arange(40.0).reshape(20, 2)
    assert (
        from_arrays(dok_matrix(dense), y).fingerprint == from_arrays(dense, y).fingerprint
    )  # a mapping, no frame


def test_bytes_are_images():
    digits = load_digits()
    grey = digits.images.astype(np.uint8)
    data = from_arrays(grey, digits.target)
    assert data.input_shape == (1, 8, 8)
    colour = np.stack([grey, grey // 2, 255 - grey], axis=-1)
    last = from_arrays(colour, digits.target)
    assert last.input_shape == (3, 8, 8)
    assert last.notes == ("x: bytes (N, H, W, C) were turned into (N, C, H, W)",)
    first = from_arrays(colour.transpose(0, 3, 1, 2), digits.target)
    assert same(first, last)
    # Each channel has its own mean and deviation; the third is the first, upside down.
    assert np.allclose(last.train.x.mean(axis=(0, 2, 3), dtype=np.float64), 0, atol=1e-6)
    assert np.allclose(last.train.x.std(axis=(0, 2, 3), dtype=np.float64), 1, atol=1e-6)
    assert np.allclose(last.test.x[:, 2], -last.test.x[:, 0], atol=1e-5)


def test_float_images_by_channel():
    x = np.random.default_rng(0).normal(5, 3, (60, 2, 4, 4)).astype(np.float32)
    data = from_arrays(x, np.arange(60) % 2)
    assert np.allclose(data.train.x.mean(axis=(0, 2, 3), dtype=np.float64), 0, atol=1e-6)
    assert np.allclose(data.train.x.std(axis=(0, 2, 3), dtype=np.float64), 1, atol=1e-5)


def test_constant_features_and_images_become_zero():
    flat = np.full((40, 3), 0.1)
    flat[:, 1] = np.arange(40)
    data = from_arrays(flat, np.arange(40) % 2)
    assert np.all(data.train.x[:, [0, 2]] == 0)
    white = from_arrays(np.full((40, 4, 4), 255, dtype=np.uint8), np.arange(40) % 2)
    assert np.all(white.train.x == 0)


class Pairs:
    """A map-style dataset like torchvision's: channels last, whole-number labels, names of classes."""

    classes = ("even", "odd")

    def __init__(self, count=40):
        self.images = np.random.default_rng(count).integers(0, 256, (count, 6, 5, 3), dtype=np.uint8)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], index % 2


def test_torch_datasets():
    tensors = torch.utils.data.TensorDataset(torch.tensor(IRIS.data), torch.tensor(IRIS.target))
    assert same(from_torch_dataset(tensors), from_arrays(IRIS.data, IRIS.target))
    subset = torch.utils.data.Subset(tensors, range(150))
    assert same(from_torch_dataset(subset), from_arrays(IRIS.data, IRIS.target))
    data = from_torch_dataset(Pairs(), test_dataset=Pairs(20), normalize="none")
    assert data.classes == ("even", "odd")
    assert data.input_shape == (3, 6, 5)
    assert np.allclose(data.test.x * 255, Pairs(20).images.transpose(0, 3, 1, 2), atol=1e-4)
    assert (len(data.train), len(data.validation), len(data.test)) == (32, 8, 20)


@pytest.mark.parametrize(
    ("saved", "options"),
    [
        ({"x": IRIS.data, "y": IRIS.target}, {}),
        ({"x_train": IRIS.data, "y_train": IRIS.target}, {}),
        ({"inputs": IRIS.data, "labels": IRIS.target}, {"x": "inputs", "y": "labels"}),
    ],
)
def test_npz(tmp_path, saved, options):
    path = tmp_path / "iris.npz"
    np.savez(path, **saved)
    data = load(parse_data({"kind": "npz", "path": str(path), **options}))
    assert same(data, from_arrays(IRIS.data, IRIS.target))
    assert data.name == "iris"


def test_npz_with_a_test_split_and_a_base_folder(tmp_path):
    np.savez(
        tmp_path / "iris.npz", x=IRIS.data, y=IRIS.target, x_test=IRIS.data[::3], y_test=IRIS.target[::3]
    )
    data = load(parse_data({"kind": "npz", "path": "iris.npz"}), base=tmp_path)
    assert same(data, from_arrays(IRIS.data, IRIS.target, x_test=IRIS.data[::3], y_test=IRIS.target[::3]))
    assert len(data.test) == 50
