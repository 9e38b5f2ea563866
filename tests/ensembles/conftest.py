"""A store of small studies that all tests of this folder read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ensemble_studies import RULES, classes
from sklearn.datasets import load_iris

import ravine


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ensembles") / "runs"
    x, y = load_iris(return_X_y=True)
    swapped = ravine.from_arrays(x, np.array(["c", "b", "a"])[y], name="iris")
    others = [
        classes(name="split", data={"kind": "iris", "split_seed": 1}, rules=["adam"], seeds=1),
        classes(name="swapped", data=swapped, rules=["adam"], seeds=1),
        classes(name="values", data="diabetes", rules=RULES[:1], keep=None, schedule="constant"),
        classes(name="lost", rules=[{"kind": "sgd", "lr": 1e30}], seeds=1, keep=None),
    ]
    for study in (classes(), *others):
        ravine.run(study, store=folder, quiet=True, device="cpu")
    return folder
