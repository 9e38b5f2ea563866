"""Modules as users write them: trained fused, serially and by the plain loop, to a stated tolerance."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from engine_runs import CPU, PLAIN, SERIAL, all_runs, distance, network_of, random_dataset, same, study, train
from plain_loop import train_plainly, weights_of
from torch import Tensor, nn
from torch.nn import functional as F
from zoo import ZOO, Animal

from ravine.engine.plan import plan
from ravine.engine.programs import TOGETHER
from ravine.errors import InputError, ModelError
from ravine.study import Study

# Ten float32 steps of momentum: sums of other lengths in another order, at 6e-8 each. Max pooling and ReLU may
# choose otherwise where two numbers are that close.
TOLERANCE = 2e-4


def zoo_study(animal: Animal) -> Study:
    return study(
        data=random_dataset(animal.input_shape),
        model=animal.factory,
        rules=[{"kind": "momentum", "lr": [0.02, 0.05]}, {"kind": "sgd", "lr": 0.05, "weight_decay": 0.01}],
        steps=10,
        seeds=2,
        batch_size=8,
        evaluations=2,
    )


# Of each kind of module one that is quick; tests/nn/test_nn_zoo.py compares the gradients of all of them.
COSTLY = {
    "transformer", "attention", "lstm", "gru", "gru-cell", "batchnorm2d", "groupnorm", "layernorm", "batchnorm1d",
}  # fmt: skip


@pytest.mark.parametrize(
    "animal",
    [pytest.param(each, id=each.name, marks=pytest.mark.slow if each.name in COSTLY else ()) for each in ZOO],
)
def test_an_animal_is_trained_as_by_the_plain_loop(animal: Animal) -> None:
    made = zoo_study(animal)
    runs = all_runs(made)
    chosen = plan(runs, network_of(made, runs), made.data, CPU)
    fusible = not animal.cannot_fuse
    if fusible and chosen.backend not in TOGETHER:  # one after another was measured to be faster here
        chosen = plan(runs, network_of(made, runs), made.data, CPU, "fused")
    assert (chosen.backend in TOGETHER) == fusible
    if chosen.backend not in TOGETHER:
        assert chosen.backend == (PLAIN if animal.cannot_fuse else SERIAL)
        assert re.fullmatch(r"[^\n]*cannot be fused: [^\n]+", chosen.why), chosen.why
        runs = runs[:1]
    fused = train(made, runs, chosen.backend)
    for run in runs[-1:]:
        serial = train(made, [run], PLAIN if animal.cannot_fuse else SERIAL)
        assert distance(fused, serial, run) < TOLERANCE
        # This one makes float32 tensors itself.
        module, losses = train_plainly(
            made, run, torch.float32 if animal.name == "gru-cell" else torch.float64
        )
        expected = weights_of(module)
        for name, weights in fused.weights(run).items():
            np.testing.assert_allclose(weights, expected[name], rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)
        curve = fused.curve(run, "train_loss")
        assert [step for step, _ in curve] == [5, 10]
        np.testing.assert_allclose(curve[0][1], np.mean(losses[:5]), rtol=TOLERANCE)
        np.testing.assert_allclose(curve[1][1], np.mean(losses[5:]), rtol=TOLERANCE)


def test_frozen_parameters_stay_and_tied_ones_are_one() -> None:
    frozen, tied = (next(animal for animal in ZOO if animal.name == name) for name in ("frozen", "tied"))
    made = zoo_study(frozen)
    run = all_runs(made)[0]
    start = network_of(made, [run]).initial(run.seed)
    weights = train(made, [run]).weights(run)
    np.testing.assert_array_equal(weights["body.weight"], start["body.weight"].numpy())
    assert not np.array_equal(weights["head.weight"], start["head.weight"].numpy())
    tied_weights = train(zoo_study(tied)).finished.weights
    assert "encode.weight" in tied_weights
    assert "decode.weight" not in tied_weights


class Draws(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(F.dropout(x, 0.2, self.training))


class NeedsEight(nn.Module):
    """Passes the check with two examples, and fails on a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 2:
            raise ValueError("only two\nexamples at once")
        return self.layer(x)


class BranchesInEval(nn.Module):
    """Can be fused while training and not where it is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return y if self.training or y.sum() > 0 else -y


class ShiftsItsInput(nn.Module):
    """Changes what it is given in place."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x += 1.0
        return self.layer(x)


@pytest.mark.parametrize("module", [Draws, BranchesInEval])
def test_what_cannot_be_fused_runs_serially_and_says_why(module: type[nn.Module]) -> None:
    made = study(model=module, steps=4)
    runs = all_runs(made)
    chosen = plan(runs, network_of(made, runs), made.data, CPU)
    assert chosen.backend not in TOGETHER
    assert chosen.why.startswith(f"{module.__name__} cannot be fused: ")
    assert "\n" not in chosen.why
    once, again = train(made, runs[:1], chosen.backend), train(made, runs[:1], chosen.backend)
    same(once, again, runs[0])
    with pytest.raises(InputError, match=f"^backend = 'fused': {module.__name__} cannot be fused: .+serial$"):
        plan(runs, network_of(made, runs), made.data, CPU, "fused")


def test_what_cannot_be_trained_at_all_is_refused_in_one_line() -> None:
    made = study(model=NeedsEight, steps=4)
    runs = all_runs(made)
    with pytest.raises(
        ModelError, match=r"^model: NeedsEight cannot be trained: ValueError: only two \(.+\.py:\d+\)$"
    ):
        plan(runs, network_of(made, runs), made.data, CPU)


@pytest.mark.parametrize("batch_size", [16, "full"])
def test_a_module_that_changes_its_input_leaves_the_data_alone(batch_size: int | str) -> None:
    made = study(model=ShiftsItsInput, steps=4, batch_size=batch_size)
    before = [getattr(made.data, split).x.copy() for split in ("train", "validation", "test")]
    runs = all_runs(made)
    fused = train(made, runs)
    for split, x in zip(("train", "validation", "test"), before, strict=True):
        np.testing.assert_array_equal(getattr(made.data, split).x, x)
    module = ShiftsItsInput()
    module.load_state_dict({name: torch.from_numpy(w) for name, w in fused.weights(runs[0]).items()})
    with torch.no_grad():
        expected = module(torch.from_numpy(made.data.test.x.copy())).numpy()
    np.testing.assert_allclose(fused.predictions(runs[0]), expected, rtol=1e-5, atol=1e-6)


def test_a_users_module_keeps_its_rates_whatever_its_neighbours_have() -> None:
    made = study(model=lambda: nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3)), steps=6)
    runs = all_runs(made)
    losses = [train(made, [run], SERIAL).curve(run, "train_loss") for run in runs[:2]]
    for run, loss in zip(runs[:2], losses, strict=True):
        np.testing.assert_allclose(train(made).curve(run, "train_loss"), loss, rtol=1e-4)
        np.testing.assert_allclose(
            np.mean([v for _, v in loss]), np.mean(train_plainly(made, run)[1]), rtol=0.2
        )
