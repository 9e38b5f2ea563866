"""Real data sets, loaded and compared with scikit-learn's own loaders."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn import datasets

from ravine.data import load, parse_data

SIZES = {
    "digits": (1079, 359, 359),
    "wine": (106, 36, 36),
    "breast_cancer": (341, 114, 114),
    "iris": (90, 30, 30),
    "diabetes": (266, 88, 88),
}


@pytest.mark.parametrize("kind", SIZES)
def test_the_same_numbers_as_scikit_learn(kind):
    theirs = getattr(datasets, f"load_{kind}")(**({"scaled": False} if kind == "diabetes" else {}))
    data = load(parse_data({"kind": kind, "normalize": "none"}))
    parts = (data.train, data.validation, data.test)
    assert tuple(map(len, parts)) == SIZES[kind]
    scale = 16 if kind == "digits" else 1
    raw = np.concatenate([part.x.reshape(len(part), -1) for part in parts]) * scale
    y = np.concatenate([part.y for part in parts])
    if data.task == "regression":
        y = np.round(y * data.target_scale + data.target_mean)
        assert data.num_outputs == 1
        assert data.classes == ()
    else:
        assert data.classes == tuple(str(name) for name in theirs.target_names)
        assert data.num_outputs == len(data.classes)
    ours = np.column_stack([raw, y])
    wanted = np.column_stack([theirs.data, theirs.target]).astype(np.float32)
    assert np.allclose(ours[np.lexsort(ours.T)], wanted[np.lexsort(wanted.T)], rtol=1e-6)
    if kind != "digits":
        assert data.features == tuple(theirs.feature_names)


def test_digits_are_images_scaled_by_the_training_part():
    data = load(parse_data("digits"))
    assert data.input_shape == (1, 8, 8)
    assert data.train.x.dtype == np.float32
    assert data.train.y.dtype == np.int64
    assert data.train.x.flags.c_contiguous
    assert abs(float(data.train.x.mean(dtype=np.float64))) < 1e-6
    assert abs(float(data.train.x.std(dtype=np.float64)) - 1) < 1e-6
    assert abs(float(data.test.x.mean(dtype=np.float64))) > 1e-6  # not fitted on it


def test_standard_scales_each_feature():
    data = load(parse_data("wine"))
    assert np.allclose(data.train.x.mean(axis=0, dtype=np.float64), 0, atol=1e-6)
    assert np.allclose(data.train.x.std(axis=0, dtype=np.float64), 1, atol=1e-6)


def test_regression_targets_are_standardized_by_the_training_part():
    data = load(parse_data("diabetes"))
    assert data.train.y.dtype == np.float32
    assert abs(float(data.train.y.mean(dtype=np.float64))) < 1e-6
    assert abs(float(data.train.y.std(dtype=np.float64)) - 1) < 1e-6
    assert 140 < data.target_mean < 165  # the mean of all 442 is 152.1
    assert 65 < data.target_scale < 90


def test_fingerprint_follows_the_content():
    one = load(parse_data("iris"))
    assert one.fingerprint == load(parse_data("iris")).fingerprint
    others = [{"split_seed": 1}, {"limit": 50}, {"normalize": "none"}, {"validation": 0.3}]
    prints = {load(parse_data({"kind": "iris", **other})).fingerprint for other in others}
    assert len(prints | {one.fingerprint}) == 5
    assert len(one.fingerprint) == 64


def test_limit():
    data = load(parse_data({"kind": "digits", "limit": 100}))
    assert len(data.train) == 100
    assert np.bincount(data.train.y).tolist() == pytest.approx([10] * 10, abs=1)
    assert data.notes == ("limit: 100 training examples were kept",)
    whole = load(parse_data({"kind": "iris", "limit": 1000}))
    assert whole.notes[0] == "limit = 1000 exceeds the 90 training examples: all were kept"


def test_neither_torch_nor_scikit_learn_is_imported():
    code = (
        "import sys; from ravine.data import load, parse_data; load(parse_data('digits')); "
        "print([name for name in ('torch', 'sklearn', 'pyarrow', 'PIL', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
