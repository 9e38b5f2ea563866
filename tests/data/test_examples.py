"""Pictures are kept as bytes; whoever asks for inputs gets the float32 numbers that were kept before."""

import pickle

import numpy as np
import pytest

from ravine.data import Examples, from_arrays
from ravine.data.copies import copy_notes
from ravine.data.dataset import fingerprint
from ravine.data.deal import Splits
from ravine.data.scale import Scaling, fit_scaling

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 3, 6, 5), dtype=np.uint8)
LABELS = np.arange(40) % 2


def kept(normalize="channel", at=None):
    scaling = fit_scaling(PIXELS, normalize, "pixels")
    y = LABELS if at is None else LABELS[at]
    return Examples(x=PIXELS, y=y, scaling=scaling, at=at), scaling(PIXELS)


@pytest.mark.parametrize("normalize", ["channel", "standard", "none"])
def test_inputs_are_scaled_when_they_are_asked_for(normalize):
    examples, x = kept(normalize)
    assert examples.shape == (3, 6, 5)
    assert examples.x.dtype == np.float32
    np.testing.assert_array_equal(examples.x, x)
    np.testing.assert_array_equal(examples.some(slice(-3, None)), x[-3:])
    np.testing.assert_array_equal(examples.some([7, 2]), x[[7, 2]])
    np.testing.assert_array_equal(examples.raw(slice(2)), PIXELS[:2])
    into = np.empty_like(x)
    examples.fill(into)
    np.testing.assert_array_equal(into, x)
    parts = [examples.some(rows) for rows in examples.chunks(200)]
    assert [len(part) for part in parts] == [2] * 20
    np.testing.assert_array_equal(np.concatenate(parts), x)


def test_a_selection_shares_the_array():
    examples, x = kept()
    few = examples.take(np.array([9, 4, 4])).take(np.array([2, 0]))
    assert few.kept is PIXELS
    np.testing.assert_array_equal(few.x, x[[4, 9]])
    np.testing.assert_array_equal(few.y, LABELS[[4, 9]])
    both = few.followed_by(examples.take(np.array([1])))
    assert both.kept is PIXELS
    np.testing.assert_array_equal(both.x, x[[4, 9, 1]])
    apart = few.followed_by(examples)
    assert apart.kept.dtype == np.uint8
    np.testing.assert_array_equal(apart.x, np.concatenate([x[[4, 9]], x]))
    plain = Examples(x=x, y=LABELS)
    assert plain.x is x
    np.testing.assert_array_equal(plain.followed_by(few).x, np.concatenate([x, x[[4, 9]]]))
    again = pickle.loads(pickle.dumps(few))
    np.testing.assert_array_equal(again.x, few.x)


def test_the_fingerprint_is_that_of_the_scaled_numbers():
    examples, x = kept(at=RNG.permutation(40))
    whole = Examples(x=np.ascontiguousarray(x[examples.at]), y=examples.y)
    some = ("classification", ("a", "b"), 0.0, 1.0)
    one, other = (fingerprint(some[0], (each, each), *some[1:]) for each in (examples, whole))
    assert one == other


def test_arrays_of_bytes_stay_bytes_and_are_copied():
    x = PIXELS.copy()
    data = from_arrays(x, LABELS)
    assert data.train.kept.dtype == np.uint8
    before = data.train.x
    x[:] = 0
    np.testing.assert_array_equal(data.train.x, before)
    assert abs(float(before.mean())) < 1e-6


def test_copies_are_found_among_bytes():
    pixels = PIXELS.copy()
    pixels[30], pixels[37] = pixels[3], pixels[4]
    scaling = Scaling(values="bytes")
    rows = Splits(train=np.arange(20), validation=np.arange(20, 32), test=np.arange(32, 40))
    y = LABELS.copy()
    y[30], y[37] = y[3], 1 - y[4]  # a copy with another answer is none
    parts = [
        Examples(x=pixels, y=y[each], scaling=scaling, at=each)
        for each in (rows.train, rows.validation, rows.test)
    ]
    notes = copy_notes(*parts, rows, lambda row: f"picture {row}")
    assert notes == ("1 of 12 validation examples is a copy of a training example: picture 30 is picture 3",)
