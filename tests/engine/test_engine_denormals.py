"""Planted denormal weights of a backbone are trained as zeros, in every program; those of other networks are kept."""

from __future__ import annotations

from pathlib import Path

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

class Huge(nn.Module):
    def __init__(self, classes=5):
        super().__init__()
        self.conv, self.last = nn.Conv2d(1, 4, 3, bias=False), nn.Linear(4, classes)

    def forward(self, x):  # weights of 1e-40 make as much of a difference here as those of 1 do elsewhere
        return self.last(1e20 * self.conv(1e20 * x).relu().mean((-2, -1)))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("nets")
    (found / "tiny_net.py").write_text(NET)
    return found


def first_loss(model: object, folder: Path, backend: str, number: float) -> float:
    """The loss of the first batch, with a convolution whose weights are all of one number."""
    data = random_dataset((1, 6, 6))
    length = {"phases": [{"train": "all", "steps": 1}]} if isinstance(model, Backbone) else {"steps": 1}
    rules = [{"kind": "sgd", "lr": 0.5}]
    study = Study(name="tiny", data=data, model=model, rules=rules, batch_size=8, seeds=1, **length)  # type: ignore[arg-type]
    runs = list(runs_of(study, data, folder))
    network = Network.of(study.model, data.input_shape, data.num_outputs, device=CPU, search=folder)
    training = Training(Cohort.of(runs), network, data, backend, CPU)
    state = training.setting.state
    for view in network.layout.views(state.params_RP).values():
        if view.dim() == 5:
            view[:] = number
    return float(next(iter(training.losses()))[0, 0])


@pytest.mark.parametrize("backend", [NATIVE, SERIAL, PLAIN])
def test_a_backbones_denormals_are_zeros(backend: str, folder: Path) -> None:
    backbone = Backbone(target="tiny_net:Huge")
    assert first_loss(backbone, folder, backend, TINY) == first_loss(backbone, folder, backend, 0.0)
    assert (torch.tensor([TINY]) * 0.5).item() > 0.0, "elsewhere they are what they are"


def test_other_networks_keep_theirs(folder: Path) -> None:
    model = {"kind": "module", "target": "tiny_net:Huge", "args": {"classes": 3}}
    losses = [first_loss(model, folder, SERIAL, number) for number in (TINY, 0.0)]
    assert abs(losses[0] - losses[1]) > 0.01


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
