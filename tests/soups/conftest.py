"""A store of small studies that all tests of this folder read."""

from __future__ import annotations

from pathlib import Path

import pytest
from soup_studies import MLP, NORMED, study

import ravine


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("soups") / "runs"
    given = [
        study(keep={"every": 8}, averages={"ema": 0.9}),
        study(name="normed", model=NORMED, rules=[{"kind": "adam", "lr": 0.02}], keep={"every": 12}),
        study(
            name="linear", model={"kind": "mlp", "hidden": []}, rules=[{"kind": "sgd", "lr": 0.1}], seeds=3
        ),
        study(name="values", data="diabetes", model=NORMED, rules=[{"kind": "adam", "lr": 0.03}], epochs=15),
        study(name="split", data={"kind": "wine", "split_seed": 1}, rules=["adam"], seeds=1),
        study(
            name="wide",
            model={"kind": "mlp", "hidden": [9]},
            rules=[{"kind": "sgd", "lr": [0.1, 1e30]}],
            seeds=1,
        ),
    ]
    assert MLP != NORMED
    for each in given:
        ravine.run(each, store=folder, quiet=True, device="cpu")
    return folder
