"""Losses at many points are those of a plain loop over torch modules, whoever evaluates them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_runs import CPU, dataset
from torch import Tensor, nn
from torch.nn import functional

from ravine.data import Dataset
from ravine.engine.loss import Loss
from ravine.engine.network import Network
from ravine.engine.points import Points
from ravine.engine.state import Data

SINGLE = {"rtol": 2e-5, "atol": 1e-6}


class Sorting(nn.Module):
    """Has no machine code: it sorts."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv1d(2, 4, 1), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.conv(x.view(-1, 2, 2)).flatten(1).sort(-1).values)
        return out


class Turning(nn.Module):
    """Looks at a number in a tensor: vmap cannot carry it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x)
        return out if out.sum().item() > -1e30 else -out


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 3))


def loop(
    make: object, network: Network, points: Tensor, buffers: list[dict[str, Tensor]], data: Dataset
) -> np.ndarray:
    """The loss at each point, one module after another."""
    module = make().double().eval()  # type: ignore[operator]
    x, y = torch.from_numpy(data.train.x).double(), torch.from_numpy(data.train.y)
    found = []
    for i, point in enumerate(points):
        tensors = {**network.layout.view_one(point), **buffers[i]}
        module.load_state_dict(
            {name: t.double() if t.is_floating_point() else t for name, t in tensors.items()}
        )
        with torch.no_grad():
            outputs = module(x)
        loss = functional.cross_entropy(outputs, y).item()
        found.append((loss, (outputs.argmax(1) == y).double().mean().item()))
    return np.array(found)


def evaluated(points: Points, *given: object) -> tuple[Tensor, ...]:
    """Loss and accuracy at each point."""
    return tuple(torch.cat(parts) for parts in zip(*points.parts(*given), strict=True))  # type: ignore[arg-type]


@pytest.mark.parametrize(("make", "backend"), [(normed, "native"), (Sorting, "fused"), (Turning, "serial")])
@pytest.mark.parametrize("own", [False, True])
def test_as_a_loop_over_modules(make: object, backend: str, own: bool) -> None:
    data = dataset()
    network = Network.of(make, (4,), 3, device=CPU)
    num, draw = 17, torch.Generator().manual_seed(0)
    at = network.layout.pack(network.layout.views(torch.randn(num, network.layout.size, generator=draw)))
    buffers: dict[str, Tensor] = {}
    for name in network.buffers:  # of each point its own, or the same for all
        shape = dict(network.module.named_buffers())[name].shape
        values = torch.rand(num if own else 1, *shape, generator=draw) + 0.5
        buffers[name] = values if shape else torch.ones(len(values), dtype=torch.int64)
    whole = Data(x=torch.from_numpy(data.train.x), y=torch.from_numpy(data.train.y))
    choice = "fused" if backend == "fused" else "auto"  # a clock would decide
    # several groups, the last of them short
    points = Points(network, Loss(task="classification"), whole, most=7, at_once=3, backend=choice)
    losses, accuracies = evaluated(points, num, lambda a, b, rows: rows.copy_(at[a:b]), buffers)
    assert points.backend == backend
    each = [{name: t[i if own else 0] for name, t in buffers.items()} for i in range(num)]
    expected = loop(make, network, at, each, data)
    np.testing.assert_allclose(losses.numpy(), expected[:, 0], **SINGLE)
    np.testing.assert_allclose(accuracies.numpy(), expected[:, 1], atol=0.5 / len(data.train))
    assert network.module.training


def test_regression_is_told_in_the_targets_units() -> None:
    data = dataset("diabetes")
    network = Network.of(lambda: nn.Linear(10, 1), (10,), 1, device=CPU)
    at = torch.zeros(2, network.layout.size)
    at[1] = 0.1
    whole = Data(x=torch.from_numpy(data.train.x), y=torch.from_numpy(data.train.y))
    points = Points(network, Loss(task="regression"), whole, unit=4.0)
    losses, same = evaluated(points, 2, lambda a, b, rows: rows.copy_(at[a:b]), {})
    x, y = data.train.x.astype(float), data.train.y.astype(float)
    expected = [4 * np.mean(y**2), 4 * np.mean((0.1 * x.sum(1) + 0.1 - y) ** 2)]
    np.testing.assert_allclose(losses.numpy(), expected, **SINGLE)
    np.testing.assert_array_equal(losses.numpy(), same.numpy())


def test_a_clock_decides_between_all_at_once_and_one_after_another() -> None:
    network = Network.of(Sorting, (4,), 3, device=CPU)
    whole = Data(x=torch.from_numpy(dataset().train.x), y=torch.from_numpy(dataset().train.y))
    points = Points(network, Loss(task="classification"), whole)
    evaluated(points, 3, lambda a, b, rows: rows.normal_(), {})
    assert points.backend in ("fused", "serial")
    assert isinstance(points._faster_alone(torch.zeros(4, network.layout.size), {}), bool)
