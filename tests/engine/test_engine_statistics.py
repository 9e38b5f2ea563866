"""BatchNorm's statistics estimated again: against sums over all examples in float64, and what must stay as it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_runs import CPU, random_dataset
from torch import Tensor, nn

from ravine.engine.network import Network
from ravine.engine.statistics import Statistics
from ravine.nn.norms import pooled

BACKENDS = pytest.mark.parametrize("backend", ["native", "fused", "serial"])


class Dense(nn.Module):
    """A norm behind a linear layer, dropout, a frozen norm, and another norm."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(4, 5), nn.BatchNorm1d(5, momentum=0.37)
        self.drop = nn.Dropout(0.5)
        self.frozen, self.last = nn.BatchNorm1d(5), nn.BatchNorm1d(5)
        self.out = nn.Linear(5, 3)
        self.train()

    def train(self, mode: bool = True) -> Dense:
        super().train(mode)
        self.frozen.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.last(self.frozen(self.drop(self.norm(self.linear(x)).relu()))))


class Pictures(nn.Module):
    """One norm that pictures go through twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.norm, self.out = nn.BatchNorm2d(3), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.second(self.norm(self.first(x)).relu()))
        return self.out(x.mean((2, 3)))


def network_of(model: type[nn.Module], shape: tuple[int, ...]) -> Network:
    return Network.of(model, shape, 3, device=CPU)


def state_of(network: Network, seeds: int = 2) -> tuple[Tensor, dict[str, Tensor]]:
    found = [network.initial(seed) for seed in range(seeds)]
    others = {
        name: torch.stack([each[name] for each in found]) for name in (*network.buffers, *network.fixed)
    }
    return torch.stack([network.layout.pack(each) for each in found]), others


def moments(parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and biased variance of all numbers of each channel, the last axis."""
    rows = np.concatenate([part.reshape(-1, part.shape[-1]) for part in parts])
    return rows.mean(0), ((rows - rows.mean(0)) ** 2).mean(0)


@BACKENDS
@pytest.mark.parametrize("batch_size", [7, 16, 40])
def test_the_first_norm_has_the_statistics_of_all_examples(backend: str, batch_size: int) -> None:
    network = network_of(Dense, (4,))
    x = torch.tensor(random_dataset((4,)).train.x) * 3.0 + 100.0  # far from 0: squares would cancel
    params_RP, others = state_of(network)
    statistics = Statistics(network, x, batch_size, None, backend)
    found = statistics.estimate(params_RP, others, [0, 1])
    assert statistics._native is (backend == "native")
    for run in range(2):
        views = network.layout.view_one(params_RP[run])
        weight, bias = (views[f"linear.{name}"].double().numpy() for name in ("weight", "bias"))
        mean, variance = moments([x.double().numpy() @ weight.T + bias])
        np.testing.assert_allclose(found["norm.running_mean"][run], mean, rtol=1e-5)
        np.testing.assert_allclose(found["norm.running_var"][run], variance, rtol=1e-4)


@BACKENDS
def test_later_norms_see_batches_that_are_normalized_as_in_training(backend: str) -> None:
    network = network_of(Dense, (4,))
    x = torch.tensor(random_dataset((4,)).train.x)
    params_RP, others = state_of(network)
    statistics = Statistics(network, x, 12, None, backend)
    found = statistics.estimate(params_RP, others, [0, 1])
    views = network.layout.view_one(params_RP[1])
    inner = []
    batches = [batch for batches_TB in statistics._batches for batch in batches_TB]
    assert sorted(torch.cat(batches).tolist()) == list(range(40))
    for batch in batches:
        hidden = x[batch].double() @ views["linear.weight"].double().T + views["linear.bias"].double()
        normal = (hidden - hidden.mean(0)) / (hidden.var(0, correction=0) + 1e-5).sqrt()
        # its weights are 1 and 0; nothing is dropped; the frozen norm divides by the variance that it has
        inner.append((normal.relu() / np.sqrt(1 + 1e-5)).numpy())
    mean, variance = moments(inner)
    np.testing.assert_allclose(found["last.running_mean"][1], mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["last.running_var"][1], variance, rtol=1e-5)
    for name in ("frozen.running_mean", "frozen.running_var", "norm.num_batches_tracked"):
        assert torch.equal(found[name], others[name])


@BACKENDS
def test_pictures_and_a_norm_that_is_called_twice(backend: str) -> None:
    network = network_of(Pictures, (1, 6, 5))
    x = torch.tensor(random_dataset((1, 6, 5)).train.x)
    params_RP, others = state_of(network, 1)
    found = Statistics(network, x, 40, None, backend).estimate(params_RP, others, [0])
    views = {name: tensor.double() for name, tensor in network.layout.view_one(params_RP[0]).items()}

    def convolved(x: Tensor, name: str) -> Tensor:
        return nn.functional.conv2d(x, views[f"{name}.weight"], views[f"{name}.bias"], padding=1)

    first = convolved(x.double(), "first")
    over = (0, 2, 3)
    mean_C, variance_C = first.mean(over, keepdim=True), first.var(over, correction=0, keepdim=True)
    second = convolved(((first - mean_C) / (variance_C + 1e-5).sqrt()).relu(), "second")
    mean, variance = moments([each.movedim(1, -1).numpy() for each in (first, second)])
    np.testing.assert_allclose(found["norm.running_mean"][0], mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["norm.running_var"][0], variance, rtol=1e-4)


@BACKENDS
def test_a_run_is_estimated_alone_and_nothing_is_left_behind(backend: str) -> None:
    network = network_of(Dense, (4,))
    x = torch.tensor(random_dataset((4,)).train.x)
    params_RP, others = state_of(network, 3)
    before = {name: tensor.clone() for name, tensor in others.items()}
    statistics = Statistics(network, x, 16, None, backend)
    together = statistics.estimate(params_RP, others, [0, 2])
    alone = statistics.estimate(params_RP[2:], {n: t[2:] for n, t in others.items()}, [0])
    for name, tensor in together.items():
        assert torch.equal(tensor[2], alone[name][0])
        assert torch.equal(tensor[1], others[name][1])  # which was not asked for
        assert torch.equal(others[name], before[name])
    assert all(not norm._forward_pre_hooks for norm in network.module.modules())
    assert network.module.training


def test_some_examples_are_the_same_ones_every_time() -> None:
    network = network_of(Dense, (4,))
    x = torch.tensor(random_dataset((4,)).train.x)
    first, again = (Statistics(network, x, 8, 24)._batches for _ in range(2))
    assert [batch.shape for batch in first] == [(3, 8)]
    assert torch.equal(first[0], again[0])
    assert len(first[0].unique()) == 24


def test_a_model_without_norms_has_no_statistics() -> None:
    assert not Statistics(network_of(lambda: nn.Linear(4, 3), (4,)), torch.ones(8, 4), 4)  # type: ignore[arg-type]


def test_pooling_loses_no_digits_far_from_zero() -> None:
    draw = np.random.default_rng(0)
    numbers = draw.normal(1e6, 1.0, size=(5, 30))
    parts = np.split(numbers, [4, 9, 20], axis=1)
    means, variances = (np.stack([f(part, axis=1) for part in parts]) for f in (np.mean, np.var))
    mean, variance = pooled([4, 5, 11, 10], torch.tensor(means)[None], torch.tensor(variances)[None])
    np.testing.assert_allclose(mean[0], numbers.mean(1), rtol=1e-14)
    np.testing.assert_allclose(variance[0], numbers.var(1), rtol=1e-8)
    assert bool((variance >= 0).all())
