"""Phases: what is trained, with which numbers, and that a run goes on as if it had never ended."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from engine_runs import CPU, FUSED, NATIVE, SERIAL, Trained, all_runs, distance, network_of, same, train
from phased import PHASES, PICTURES, ends_before, phased, trained_on, training_on, weights_of
from torch import nn

from ravine.engine.batches import Order
from ravine.engine.trainable import blocks_of, rest, trained_names
from ravine.errors import StudyError
from ravine.study import Run, Study

BLOCKS = (("conv1", "norm1"), ("conv2", "norm2"), ("output",))
TWO = ({"train": "all", "steps": 4}, {"train": "all", "steps": 5})
RULES = (
    {"kind": "adam", "lr": 0.01},
    {"kind": "adamw", "lr": 0.01, "weight_decay": 0.1},
    {"kind": "nadam", "lr": 0.01},
    {"kind": "momentum", "lr": 0.05},
    {"kind": "nesterov", "lr": 0.05, "weight_decay": 1e-3},
    {"kind": "nesterov_lookahead", "lr": 0.05},
    {"kind": "muon", "lr": 0.01},
    {"kind": "schedule_free_adamw", "lr": 0.01},
    {"kind": "adagrad", "lr": 0.05},
)


def oracle(
    study: Study, run: Run, optimizer: type[torch.optim.Optimizer], **options: Any
) -> dict[str, np.ndarray]:
    """All phases of a run in float64, by torch.optim: its states, steps among them, are those of each parameter."""
    chain, decay = run.recipe.chain, run.recipe.hypers.get("layer_decay", 1.0)
    net = (
        network_of(study, [replace(run, recipe=replace(chain[0], before=None, train="all"))]).make().double()
    )
    first = network_of(study, [run]).initial(run.seed)
    net.load_state_dict({name: tensor.double() for name, tensor in first.items()})
    origin = {name: tensor.double() for name, tensor in first.items()}
    depth = {part: len(BLOCKS) - 1 - i for i, block in enumerate(BLOCKS) for part in block}
    groups = [{"params": [p], "lr": decay ** depth[name.split(".")[0]]} for name, p in net.named_parameters()]
    stepping = optimizer(groups, **{"lr": 1.0, **options})
    order = Order((run.seed,), len(PICTURES.train), run.recipe.batch_size, CPU)
    x, y = torch.from_numpy(PICTURES.train.x).double(), torch.from_numpy(PICTURES.train.y)
    number = 0
    for recipe in chain:
        start = {"head": 2, "from:1": 1, "all": 0}[recipe.train]
        lr, anchor = recipe.hypers["lr"], recipe.hypers.get("anchor", 0.0)
        for group, (name, _) in zip(stepping.param_groups, net.named_parameters(), strict=True):
            group["lr"] = lr * decay ** depth[name.split(".")[0]]
            group.pop("initial_lr", None)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(stepping, T_max=recipe.steps)
        for _ in range(recipe.steps):
            net.train()
            for block in BLOCKS[:start]:
                for part in block:
                    net.get_submodule(part).eval()
            rows = order.rows(number)[0, 0]
            net.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            for name, param in net.named_parameters():
                if depth[name.split(".")[0]] > len(BLOCKS) - 1 - start:
                    param.grad = None
                elif anchor and depth[name.split(".")[0]]:
                    assert param.grad is not None
                    param.grad += anchor * (param.detach() - origin[name])
            stepping.step()
            schedule.step()
            number += 1
    return {name: tensor.detach().numpy() for name, tensor in net.state_dict().items()}


def near(trained: Trained, run: Run, exact: Mapping[str, np.ndarray], most: float) -> None:
    for name, array in weights_of(trained, run).items():
        far = np.abs(array - exact[name]).max() / max(1.0, np.abs(exact[name]).max())
        assert far < most, (name, far)


@pytest.mark.parametrize(
    ("backend", "rule", "optimizer", "options"),
    [
        pytest.param(
            backend, *case, id=f"{name} {backend}", marks=() if backend in fast else (pytest.mark.slow,)
        )
        for name, fast, *case in (
            ("adam", (), {"kind": "adam", "lr": 0.1, "preset": "torch"}, torch.optim.Adam, {"eps": 1e-8}),
            (
                "adamw layers",
                (NATIVE,),
                {
                    "kind": "adamw",
                    "lr": 0.1,
                    "weight_decay": 0.3,
                    "layer_decay": 0.5,
                    "exclude": "",
                    "preset": "torch",
                },
                torch.optim.AdamW,
                {"eps": 1e-8, "weight_decay": 0.3},
            ),
            (
                "nesterov anchor",
                (FUSED,),
                {"kind": "nesterov_torch", "lr": 0.1, "anchor": 0.5},
                torch.optim.SGD,
                {"momentum": 0.9, "nesterov": True},
            ),
            ("both", (), {"kind": "sgd", "lr": 0.1, "layer_decay": 0.3, "anchor": 0.5}, torch.optim.SGD, {}),
        )
        for backend in (NATIVE, FUSED)
    ],
)
def test_against_torch_with_a_schedule(
    backend: str, rule: dict[str, Any], optimizer: Any, options: dict[str, Any]
) -> None:
    made = phased(rules=[rule], schedule="cosine")
    [run] = all_runs(made)
    near(trained_on(made, [run], backend), run, oracle(made, run, optimizer, **options), 2e-5)


@pytest.mark.parametrize("backend", [pytest.param(NATIVE, marks=pytest.mark.slow), FUSED])
def test_a_run_in_two_halves_is_the_run_in_one_piece(backend: str) -> None:
    fields: dict[str, Any] = {
        "model": {"kind": "convnet", "channels": [4], "hidden": 5, "norm": "batch", "dropout": 0.3},
        "augment": {"flip": 0.5},
        "rules": RULES,
        "evaluations": 1,
    }
    halves, whole = phased(phases=TWO, **fields), phased(phases=(), steps=9, **fields)
    ours, theirs = trained_on(halves, backend=backend), train(whole, backend=backend)
    for run, other in zip(all_runs(halves), all_runs(whole), strict=True):
        found, expected = ours.weights(run), theirs.weights(other)
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array, err_msg=f"{run.label} {name}")


def test_a_block_unfrozen_late_begins_with_steps_of_lr() -> None:
    phases = [{"train": "head", "steps": 60, "lr": 1e-3}, {"train": "all", "steps": 1, "lr": 1e-3}]
    made = phased(phases=phases)
    [run] = all_runs(made)
    before = next(iter(ends_before(made, [run]).values())).weights
    after = trained_on(made, [run]).weights(run)
    for name in ("conv1.weight", "conv2.weight", "norm1.bias"):
        stride = np.abs(after[name] - before[name])
        assert stride.max() == pytest.approx(1e-3, rel=1e-3), name


@pytest.mark.parametrize("backend", [pytest.param(NATIVE, marks=pytest.mark.slow), FUSED])
def test_what_a_phase_leaves_alone_keeps_its_bits(backend: str) -> None:
    phases = [{"train": "all", "steps": 5}, {"train": "head", "steps": 5}]
    made = phased(phases=phases, rules=RULES)
    runs = all_runs(made)
    ends, after = ends_before(made, runs, backend), trained_on(made, runs, backend)
    for run in runs:
        parent = replace(run, recipe=run.recipe.chain[0]).id
        for name, array in after.weights(run).items():
            equal = np.array_equal(array, ends[parent].weights[name])
            assert equal == (not name.startswith("output")), (run.label, name)


def test_what_was_left_alone_goes_on_as_it_was() -> None:
    phases = [
        {"train": "all", "steps": 5},
        {"train": "match:^output", "steps": 5},
        {"train": "all", "steps": 1, "lr": 1e-30},
    ]
    made = phased(phases=phases, rules=[{"kind": "nesterov", "lr": 0.1}])
    [run] = all_runs(made)
    ends = ends_before(made, [run])
    first, second = (ends[replace(run, recipe=recipe).id] for recipe in run.recipe.chain[:-1])
    for name in ("conv1.weight", "norm2.bias"):
        np.testing.assert_array_equal(first.kept[f"trained/{name}"], second.kept[f"trained/{name}"])
        np.testing.assert_array_equal(
            first.kept[f"slots/velocity/{name}"], second.kept[f"slots/velocity/{name}"]
        )


def test_parameters_are_known_by_name_and_not_by_value() -> None:
    made = phased(phases=[{"train": "from:1", "steps": 3}, {"train": "all", "steps": 3}])
    [run] = all_runs(made)
    [end] = ends_before(made, [run]).values()
    assert np.array_equal(end.weights["norm1.bias"], np.zeros(4))
    assert end.slot("mean", "norm1.bias") is None
    after = trained_on(made, [run]).weights(run)
    assert np.all(after["norm1.bias"] != 0.0)
    assert np.all(after["norm2.bias"] != end.weights["norm2.bias"])


def test_each_block_has_the_power_of_the_factor_that_is_its_distance_from_the_head() -> None:
    made = phased(phases=[{"steps": 3}], rules=[{"kind": "sgd", "lr": 0.1, "layer_decay": [0.5, 0.75]}])
    runs = all_runs(made)
    training = training_on(made, runs, FUSED, {})
    sections = training.network.sections
    for run, factors in zip(
        training.cohort.runs, training.setting.constants.hypers[0].factors_GS, strict=True
    ):
        of_name = {
            name: float(factor)
            for section, factor in zip(sections.each, factors, strict=True)
            for name in section.layout.names
        }
        d = run.recipe.hypers["layer_decay"]
        expected = {"output": 1.0, "conv2": d, "norm2": d, "conv1": d * d, "norm1": d * d}
        assert of_name == {name: expected[name.split(".")[0]] for name in of_name}
    assert len({run.recipe.structure for run in runs}) == 1, "another factor is no other program"


def test_frozen_weights_that_all_runs_have_lie_in_memory_once() -> None:
    made = phased(rules=[{"kind": "adam", "lr": [0.1, 0.2]}], phases=PHASES[1:])
    runs = all_runs(made)
    training = training_on(made, runs, FUSED, ends_before(made, runs))
    assert training.setting.constants.fixed == {}
    made = phased(rules=[{"kind": "adam", "lr": [0.1, 0.2]}], phases=[{"train": "head", "steps": 2}])
    training = training_on(made, all_runs(made), FUSED, {})
    fixed = training.setting.constants.fixed
    assert set(fixed) == {
        "conv1.weight",
        "conv2.weight",
        "norm1.weight",
        "norm1.bias",
        "norm2.weight",
        "norm2.bias",
    }
    assert all(tensor.stride(0) == 0 for tensor in fixed.values())


@pytest.mark.parametrize("backend", [NATIVE, pytest.param(FUSED, marks=pytest.mark.slow)])
def test_a_run_does_not_depend_on_its_neighbours_nor_on_an_interruption(backend: str) -> None:
    rules = [
        {"kind": "adamw", "lr": [0.1, 0.01], "layer_decay": [1.0, 0.5], "anchor": [0.0, 0.1]},
        {"kind": "schedule_free_adamw", "lr": 0.01, "layer_decay": 0.7},
    ]
    made = phased(rules=rules, seeds=2)
    runs = all_runs(made)
    ends = ends_before(made, runs, backend)
    structures = {run.recipe.structure for run in runs}
    assert len(structures) == 2
    for structure in structures:
        some = [run for run in runs if run.recipe.structure == structure]
        whole = training_on(made, some, backend, ends)
        found = _all(whole)
        alone = some[-1]
        same(found, _all(training_on(made, [alone, some[0]], backend, ends)), alone)
        begun = training_on(made, some[::-1], backend, ends)
        for _ in range(2):
            begun.advance()
        again = _all(training_on(made, some, backend, ends, start=(begun.step, begun.snapshot())))
        same(found, again, alone)
        same(found, again, some[0])


def _all(training: Any) -> Trained:
    from engine_runs import trained_by

    return trained_by(training)


@pytest.mark.slow
def test_backends_agree() -> None:
    made = phased(rules=[{"kind": "adamw", "lr": 0.05, "layer_decay": 0.5, "anchor": 0.1}])
    [run] = all_runs(made)
    native, fused, serial = (trained_on(made, [run], backend) for backend in (NATIVE, FUSED, SERIAL))
    assert distance(native, fused, run) < 1e-4
    assert distance(serial, fused, run) < 1e-4


def test_parts_that_rest() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm2d(2),
        nn.Dropout(0.5),
        nn.Conv2d(2, 2, 3),
        nn.Dropout(0.5),
        nn.Flatten(),
    )
    assert blocks_of(net) == [("0.weight", "0.bias", "1.weight", "1.bias"), ("3.weight", "3.bias")]
    rest(net, trained_names(net, "head", blocks_of(net)))
    net.train()
    assert [each.training for each in net] == [False, False, True, True, True, True]
    buffers = net[1].running_mean.clone()
    x = torch.randn(8, 1, 8, 8)
    assert torch.equal(net[1](net[0](x)), net[1](net[0](x)))
    assert torch.equal(net[1].running_mean, buffers)


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ("match:nothing", "matches none of the 8 parameters"),
        ("from:3", "the model has 2 blocks before its head, from:0 to from:1; from:2 is the head"),
    ],
)
def test_what_is_not_there_is_refused(train: str, words: str) -> None:
    made = phased(phases=[{"train": train, "steps": 1}])
    with pytest.raises(StudyError, match=words) as error:
        network_of(made, all_runs(made))
    assert "\n" not in str(error.value)


def test_a_model_of_one_block_has_no_head() -> None:
    made = phased(model={"kind": "mlp", "hidden": []}, phases=[{"train": "head", "steps": 1}])
    with pytest.raises(StudyError, match="the model is one block"):
        network_of(made, all_runs(made))


def test_a_late_block_of_a_schedule_free_rule_has_an_average_of_its_own() -> None:
    made = phased(
        rules=[{"kind": "schedule_free_adamw", "lr": 0.01}],
        phases=[{"train": "head", "steps": 50}, {"train": "all", "steps": 1}],
    )
    [run] = all_runs(made)
    [end] = ends_before(made, [run]).values()
    training = training_on(made, [run], FUSED, ends_before(made, [run]))
    list(training.records())
    totals = training.setting.state.slots[0]["total"][0]
    kept = float(end.kept["slots/total/output.weight"])
    assert sorted(totals.tolist()) == pytest.approx(sorted([1e-4, kept + 1e-4]), rel=1e-4)
    assert math.isclose(kept, 50e-4, rel_tol=1e-4)
