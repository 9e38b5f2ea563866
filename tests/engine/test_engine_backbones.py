"""Phases and layers of a backbone: how far each block goes in a step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from engine_runs import CPU, FUSED, random_dataset

from ravine.engine.cohort import Cohort
from ravine.engine.network import Network
from ravine.engine.training import Training
from ravine.launch.subject import in_phase_of
from ravine.study import Study, runs_of

NET = """
from torch import nn

def four():
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 2, 3), nn.ReLU(), nn.Conv2d(2, 3, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 5),
    )
"""
DEPTHS = {"head.output": 0, "body.5": 1, "body.3": 2, "body.0": 3, "body.1": 3}


def test_the_head_goes_lr_and_each_block_before_it_a_factor_less(tmp_path: Path) -> None:
    """After one step from the same weights, with a schedule."""
    (tmp_path / "four_blocks.py").write_text(NET)
    data = random_dataset((1, 6, 6))
    study = Study(
        name="four",
        data=data,
        model={"kind": "backbone", "target": "four_blocks:four", "norm": "affine"},
        rules=[{"kind": "sgd", "lr": 0.5, "layer_decay": [1.0, 0.5]}],
        phases=[{"train": "all", "steps": 5}],
        schedule={"kind": "cosine", "warmup": 3},
        batch_size=8,
        seeds=1,
    )
    moved = []
    for run in runs_of(study, data, tmp_path):
        network = Network.of(study.model, data.input_shape, data.num_outputs, device=CPU, search=tmp_path)
        training = Training(Cohort.of([run]), in_phase_of(network, [run]), data, FUSED, CPU)
        layout, state = training.network.layout, training.setting.state
        before = state.params_RP.clone()
        next(iter(training.losses()))
        views = layout.views(state.params_RP - before)
        moved.append({name: each[0].numpy() for name, each in views.items()})
    whole, half = moved
    assert {name.rpartition(".")[0] for name in whole} == set(DEPTHS)
    for name, step in whole.items():
        factor = 0.5 ** DEPTHS[name.rpartition(".")[0]]
        assert np.abs(step).max() > 1e-5, name
        np.testing.assert_allclose(half[name], step * factor, rtol=1e-3, atol=1e-7, err_msg=name)
