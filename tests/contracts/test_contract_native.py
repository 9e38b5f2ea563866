"""Machine code trains the same runs as the traced program, and a run is the same run anywhere, bit by bit."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from engine_runs import (
    FUSED,
    NATIVE,
    all_runs,
    compiling,
    dataset,
    distance,
    random_dataset,
    same,
    study,
    train,
    training_of,
)
from test_contract_cohorts import (
    SIZES,
    everything,
    groups,
    of_each_rule,
    shuffled,
    some_models,
    together,
)
from torch import nn

from ravine.rules import RULES
from ravine.study import Study
from thinning import thinned

FEW = ("adam", "momentum", "nesterov_lookahead", "muon")  # rules enough for what has nothing to do with them


@pytest.mark.parametrize(
    ("model", "batch_size"), thinned(product(["odd", "layer-norm", "linear"], ["full", 13]), strength=1)
)
def test_it_trains_the_same_runs_as_the_traced_program(model: str, batch_size: int | str) -> None:
    made = everything(model, "wine", batch_size)
    runs = shuffled(all_runs(made), 1)[:40]
    if model != "odd":
        runs = [run for run in runs if run.recipe.rule in FEW]
    ours, theirs = train(made, runs, NATIVE), train(made, runs)
    assert ours.finished.diverged == theirs.finished.diverged
    assert bool(ours.finished.diverged) == (model != "linear")
    for run in runs:
        if run.id not in ours.finished.diverged:
            # float32, 12 steps; sums in another order
            assert distance(ours, theirs, run) < 1e-5, run.label
            for metric in ours.evaluations[0].scores:
                for (step, a), (other, b) in zip(
                    ours.curve(run, metric), theirs.curve(run, metric), strict=True
                ):
                    assert step == other
                    assert a == pytest.approx(b, rel=1e-4, abs=1e-6), (run.label, metric)


@pytest.mark.parametrize(
    "activation", ["tanh", "gelu", *(pytest.param(name, marks=pytest.mark.slow) for name in ("relu", "silu"))]
)
def test_batch_norm_and_activations(activation: str) -> None:
    """With SGD: a bias before a batch norm has a gradient of nothing but rounding, which Adam would blow up."""
    made = study(
        data=dataset("wine"),
        model={"kind": "mlp", "hidden": [17, 9], "norm": "batch", "activation": activation},
        rules=[{"kind": "sgd", "lr": 0.1}, {"kind": "nesterov", "lr": 0.05}],
        dropout=[0.0, 0.3],
        steps=12,
        batch_size=13,
    )
    ours, theirs = train(made, backend=NATIVE), train(made)
    for run in all_runs(made):
        assert distance(ours, theirs, run) < 1e-5, run.label


PICTURES = {
    "convnet": {"kind": "convnet", "channels": [5], "hidden": 7},
    "convnet-batch": {"kind": "convnet", "channels": [5, 17], "hidden": 0, "norm": "batch"},
    "convnet-group": {"kind": "convnet", "channels": [8, 16], "hidden": 9, "norm": "group"},
    "resnet": {"kind": "resnet", "depth": 8, "width": 4},
}


def pictures(model: str) -> Study:
    return study(
        data=random_dataset((2, 9, 8)),
        model=PICTURES[model],
        rules=[{"kind": "momentum", "lr": [0.02, 0.1]}],
        steps=8,
        batch_size=11,
        evaluations=2,
        dropout=[0.0, 0.3],
    )


@pytest.mark.parametrize(
    "model",
    [
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("convnet", "convnet-batch", "convnet-group")
        ),
        "resnet",
    ],
)
def test_networks_of_convolutions(model: str) -> None:
    made = pictures(model)
    ours, theirs = train(made, backend=NATIVE), train(made)
    for run in all_runs(made):
        # float32, 8 steps; batch norms of few numbers blow rounding up
        assert distance(ours, theirs, run) < 1e-4, run.label
    alone = train(made, all_runs(made)[2:3], NATIVE)
    same(alone, ours, all_runs(made)[2])


def test_regression() -> None:
    made = everything("odd", "diabetes", 11)
    runs = [run for run in shuffled(all_runs(made), 1)[:40] if run.recipe.rule in FEW]
    ours, theirs = train(made, runs, NATIVE), train(made, runs)
    for run in runs:
        if run.id not in ours.finished.diverged:
            assert distance(ours, theirs, run) < 1e-5
            np.testing.assert_allclose(ours.predictions(run), theirs.predictions(run), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("model", some_models("layer-norm"))
def test_a_run_does_not_depend_on_its_neighbours(model: str, sizes: tuple[int, ...]) -> None:
    made = everything(model)
    for some in groups(of_each_rule(made, len(model)), sizes):
        apart = train(made, some, NATIVE)
        for run in some:
            same(apart, together(model, backend=NATIVE), run)


def test_nor_on_the_number_of_threads() -> None:
    made, threads = everything("batch-norm"), torch.get_num_threads()
    runs = all_runs(made)[:7]
    try:
        torch.set_num_threads(1)
        one = train(made, runs, NATIVE)
        torch.set_num_threads(3)
        three = train(made, runs, NATIVE)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    for run in runs:
        same(one, three, run)


@pytest.mark.parametrize("radii", [(0.0, 0.0), (0.1, 0.2)])
def test_a_new_learning_rate_or_radius_is_not_compiled_anew(radii: tuple[float, float]) -> None:
    for lr, radius in zip((0.01, 0.0123), radii, strict=True):
        made = study(rules=[{"kind": kind, "lr": lr, "sam_radius": radius} for kind in RULES], seeds=1)
        with compiling() as texts:
            training_of(made, all_runs(made), NATIVE).rehearse()
    assert not texts


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 8)
        self.query, self.key, self.value = (nn.Linear(8, 8, bias=False) for _ in range(3))
        self.norm, self.output = nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.embed(x)
        weights = torch.softmax(self.query(h) @ self.key(h).mT / 8**0.5, -1)
        return self.output(self.norm(h + weights @ self.value(h)).mean(1))


class Residual(nn.Module):
    """Tied weights, a frozen parameter, an in-place activation, a slice, a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.second = nn.Linear(6, 6)
        self.third = nn.Linear(6, 6)
        self.third.weight = self.second.weight
        self.output = nn.Linear(9, 3)
        self.scale = nn.Parameter(torch.full((6,), 0.5), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = nn.functional.relu_(self.first(x))
        h = h + self.third(torch.tanh(self.second(h)) * self.scale)
        return self.output(torch.cat([h, h[:, 1:4] ** 2], 1))


@pytest.mark.parametrize(
    ("module", "data"),
    [(Attention, random_dataset((5, 3))), (Residual, random_dataset((4,)))],
    ids=["attention", "residual"],
)
def test_modules_of_the_user(module: type[nn.Module], data: object) -> None:
    made = study(model=module, data=data, rules=[{"kind": "momentum", "lr": [0.05, 0.1]}], batch_size=11)
    ours, theirs = train(made, backend=NATIVE), train(made, backend=FUSED)
    for run in all_runs(made):
        assert distance(ours, theirs, run) < 1e-5
        np.testing.assert_allclose(ours.predictions(run), theirs.predictions(run), rtol=1e-3, atol=1e-5)
