"""Rules of a user's, in every way of running them, against formulas in float64 over one nn.Module."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import numpy as np
import plain_loop
import pytest
import torch
from engine_runs import FUSED, NATIVE, PLAIN, SERIAL, Trained, all_runs, same, study, train

from ravine.study import Study

sys.path.append(str(Path(__file__).parents[1] / "rules"))

from own_rules import OWN, formula

TOLERANCE = 1e-4  # as in test_contract_rules
WAYS = {"native": NATIVE, "fused": FUSED, "serial": SERIAL, "plain": PLAIN}


@cache
def own_study() -> Study:
    rules = [{"kind": rule, "lr": 0.02, "weight_decay": [0.0, 0.03]} for rule in OWN]
    return study(rules=rules, steps=20, schedule={"kind": "cosine", "warmup": 3}, seeds=1)


@cache
def trained(name: str, label: str) -> list[Trained]:
    runs = [run for run in all_runs(own_study()) if run.label == label]
    backend = WAYS[name]
    if name in ("native", "fused"):
        return [train(own_study(), all_runs(own_study()), backend)]
    return [train(own_study(), [run], backend) for run in runs]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("rule", OWN, ids=lambda rule: rule.name)
def test_a_rule_of_ones_own_trains_as_its_formula(rule, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_loop, "update_of", lambda kind, h, shapes: formula(rule.name, h, shapes))
    for run in (run for run in all_runs(own_study()) if run.label == rule.name):
        expected = plain_loop.weights_of(plain_loop.train_plainly(own_study(), run)[0])
        (result,) = (one for one in trained(how, rule.name) if run.id in one.finished.runs)
        for name, weights in result.weights(run).items():
            np.testing.assert_allclose(weights, expected[name], rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("how", ["native", "fused"])
def test_its_runs_have_the_same_bits_alone(how: str) -> None:
    together = trained(how, "")[0]
    for run in all_runs(own_study())[::2]:
        same(train(own_study(), [run], WAYS[how]), together, run)


@pytest.mark.slow
def test_the_optimizer_class_takes_the_same_steps() -> None:
    from ravine import optim

    for rule in (each for each in OWN if each.scope != "run"):
        for dtype in (torch.float32, torch.float64, torch.bfloat16):
            start = [torch.linspace(-1.0, 1.0, 12).reshape(3, 4), torch.linspace(-1.0, 1.0, 5)]
            params = [torch.nn.Parameter(x.to(dtype)) for x in start]
            optimizer = optim.of(rule)(params, lr=0.05)
            h = {name: hyper.default for name, hyper in rule.hypers.items()}
            update, deployed = formula(rule.name, h, [x.double() for x in start])
            expected = [x.double() for x in start]
            for step in range(10):
                for param in params:
                    param.grad = param.detach().sin()
                optimizer.step()
                expected = update(expected, [x.sin() for x in expected], 0.05, step + 1)
            rough = {"rtol": 0.05, "atol": 0.02} if dtype == torch.bfloat16 else {"rtol": 1e-5, "atol": 1e-6}
            with optimizer.deployed():
                found = [param.detach().double().clone() for param in params]
            torch.testing.assert_close(found, deployed(expected, expected), **rough)
            again = optim.of(rule)(params, lr=1.0)
            again.load_state_dict(optimizer.state_dict())
            assert again.param_groups[0]["lr"] == 0.05
