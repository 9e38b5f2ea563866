"""Planted denormal weights of a backbone are trained as zeros, in every program; those of other networks are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from engine_runs import CPU, NATIVE, PLAIN, SERIAL, random_dataset

from ravine.engine.cohort import Cohort
from ravine.engine.network import Network
from ravine.engine.training import Training
from ravine.nn.spec import Backbone
from ravine.study import Study, runs_of

TINY = 1e-40
NET = """
from torch import nn

def small():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 5),
    )
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("nets")
    (found / "tiny_net.py").write_text(NET)
    return found


@pytest.mark.parametrize("backend", [pytest.param(NATIVE, marks=pytest.mark.slow), SERIAL])
def test_a_backbones_denormals_are_zeros(backend: str, folder: Path) -> None:
    data = random_dataset((1, 6, 6))
    model = Backbone(target="tiny_net:small")
    study = Study(
        name="tiny",
        data=data,
        model=model,
        rules=[{"kind": "sgd", "lr": 0.5}],
        phases=[{"train": "all", "steps": 2}],
        batch_size=8,
        seeds=1,
    )
    runs = list(runs_of(study, data, folder))
    network = Network.of(model, data.input_shape, data.num_outputs, device=CPU, search=folder)
    found = []
    for planted in (TINY, 0.0):
        training = Training(Cohort.of(runs), network, data, backend, CPU)
        training.setting.state.params_RP[:, :20] = planted
        for _ in training.losses():
            pass
        found.append(training.setting.state.params_RP.numpy().copy())
    tiny = np.finfo(np.float32).tiny
    np.testing.assert_array_equal(np.where(np.abs(found[0]) < tiny, 0.0, found[0]), found[1])
    assert (torch.tensor([TINY]) * 0.5).item() > 0.0


def test_the_rules_of_a_serial_backbone_are_those_of_operations(folder: Path) -> None:
    """Serially, a backbone's rules are machine code; an eager program carries them out operation by operation."""
    data = random_dataset((1, 6, 6))
    model = Backbone(target="tiny_net:small")
    rules = [
        {"kind": "adamw", "lr": 0.01, "weight_decay": 0.1, "eps": 0.1},
        {"kind": "nesterov", "lr": 0.01, "max_norm": 0.5},
    ]
    study = Study(
        name="tiny",
        data=data,
        model=model,
        rules=rules,
        phases=[{"train": "all", "steps": 5}],
        batch_size=8,
        seeds=1,
        averages={"ema": [0.5]},
    )
    network = Network.of(model, data.input_shape, data.num_outputs, device=CPU, search=folder)
    for run in runs_of(study, data, folder):
        found = []
        for backend in (SERIAL, PLAIN):
            training = Training(Cohort.of([run], study.averages), network, data, backend, CPU)
            for _ in training.losses():
                pass
            state = training.setting.state
            found.append([state.params_RP, *state.slots[0].values()])
        for serial, plain in zip(*found, strict=True):
            torch.testing.assert_close(serial, plain, rtol=1e-4, atol=1e-6)
