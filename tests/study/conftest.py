"""A study as plain data, and a data set that needs no file."""

import numpy as np
import pytest

from ravine.data import from_arrays

PLAIN = {
    "name": "s",
    "data": "iris",
    "model": "mlp",
    "epochs": 2,
    "batch_size": 10,
    "rules": [{"kind": "sgd", "lr": 0.1}],
}


@pytest.fixture
def plain():
    """A study with one change after the other: ``plain(epochs=3)``; None takes a key away."""

    def changed(**keys):
        return {key: value for key, value in {**PLAIN, **keys}.items() if value is not None}

    return changed


@pytest.fixture(scope="session")
def data():
    """100 examples in all, 60 of them to train on."""
    random = np.random.default_rng(0)
    return from_arrays(random.normal(size=(100, 3)).astype(np.float32), np.arange(100) % 2, name="hundred")
