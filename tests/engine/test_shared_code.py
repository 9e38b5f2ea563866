"""What programs of one model share: recordings, and machine code whatever the number of examples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_runs import CPU, all_runs, network_of, random_dataset, study

from ravine.engine.cohort import Cohort
from ravine.engine.native.gradients import gradient
from ravine.engine.training import Training
from ravine.native import compiler
from ravine.native.compiler import Compiler


def test_parts_of_different_size_have_the_same_code(monkeypatch: pytest.MonkeyPatch) -> None:
    model = {"kind": "convnet", "channels": [3], "hidden": 0}
    whole = random_dataset((2, 6, 6))
    made = study(data=whole, model=model, batch_size=4)
    runs, recorded = all_runs(made)[:1], compiler.recorded
    network, counted = network_of(made, runs), []
    monkeypatch.setattr(compiler, "recorded", lambda *given: counted.append(1) or recorded(*given))
    found = []
    for num in (len(whole.train), 9):
        data = replace(whole, train=whole.train.take(np.arange(num)))
        setting = Training(Cohort.of(runs), network, data, "native", CPU).setting
        before = len(counted)
        found.append(gradient(setting, Compiler(), "points"))
        assert len(counted) == before  # as the training did
    assert found[0].address == found[1].address


def test_what_a_rule_does_is_recorded_once_for_each_setting_of_its_hypers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted, recorded = [], compiler.recorded
    monkeypatch.setattr(compiler, "recorded", lambda *given: counted.append(1) or recorded(*given))
    data, network = random_dataset((2, 6, 6)), None
    model = {"kind": "convnet", "channels": [3], "hidden": 0}
    for rule, num in (
        ({"kind": "momentum", "lr": 0.1}, 2),  # gradient and update
        ({"kind": "momentum", "lr": 0.2}, 0),
        ({"kind": "momentum", "lr": 0.2, "weight_decay": 0.1}, 1),
        ({"kind": "momentum", "lr": 0.2, "clip_norm": 0.01}, 1),
        ({"kind": "adam", "lr": 0.1}, 1),
    ):
        made = study(data=data, model=model, batch_size=4, rules=[rule])
        runs = all_runs(made)[:1]
        alone = Training(Cohort.of(runs), network_of(made, runs), data, "native", CPU)
        network = network or network_of(made, runs)
        before = len(counted)
        shared = Training(Cohort.of(runs), network, data, "native", CPU)
        assert len(counted) - before == num, rule
        for training in (alone, shared):
            training.advance(3)
        for one, other in zip(alone.snapshot().values(), shared.snapshot().values(), strict=True):
            np.testing.assert_array_equal(one, other)
