"""Gradient and products with the Hessian, against the exact Hessian of plain torch modules in float64."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from ravine.engine.loss import Loss
from ravine.engine.native.products import NativeProducts
from ravine.engine.network import Network
from ravine.engine.objective import Objective
from ravine.engine.state import Data
from ravine.landscapes.curvature import Curvature
from thinning import thinned

CPU = torch.device("cpu")
EXACT = {"rtol": 1e-9, "atol": 1e-11}
NUM, RUNS = 21, 3


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))


def dropping() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.GELU(), nn.Dropout(0.5), nn.Linear(5, 3))


def convolution() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.SiLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2, 3))


CASES = {"mlp": (mlp, (4,)), "dropping": (dropping, (4,)), "convolution": (convolution, (1, 4, 4))}


def made(name: str) -> tuple[Network, Data, Tensor, dict[str, Tensor], list[nn.Module]]:
    """A network, data, and runs with weights and statistics of their own, also as modules."""
    make, shape = CASES[name]
    network = Network.of(make, shape, 3, device=CPU)
    draw = torch.Generator().manual_seed(1)
    data = Data(x=torch.randn(NUM, *shape, generator=draw), y=torch.randint(3, (NUM,), generator=draw))
    modules = []
    for seed in range(RUNS):
        torch.manual_seed(seed)
        module = make().double()
        module(data.x.double())  # statistics that are not 0 and 1
        modules.append(module.eval())
    rows = [{**dict(m.named_parameters()), **dict(m.named_buffers())} for m in modules]
    stacked = {name: torch.stack([row[name].detach() for row in rows]) for name in rows[0]}
    params = network.layout.pack(stacked)
    return network, data, params, {name: stacked[name] for name in network.buffers}, modules


def exact(module: nn.Module, data: Data) -> tuple[Tensor, Tensor, Tensor]:
    """Loss, gradient and Hessian over all parameters, one after another."""
    names = [name for name, _ in module.named_parameters()]
    shapes = [p.shape for p in module.parameters()]
    flat = torch.cat([p.detach().flatten() for p in module.parameters()])

    def loss(flat: Tensor) -> Tensor:
        pieces = flat.split([shape.numel() for shape in shapes])
        params = {n: p.view(s) for n, p, s in zip(names, pieces, shapes, strict=True)}
        return functional.cross_entropy(functional_call(module, params, (data.x.double(),)), data.y)

    return loss(flat), torch.func.grad(loss)(flat), torch.func.hessian(loss)(flat)


def objective(network: Network, *, fused: bool = True) -> Objective:
    return Objective(network=network, loss=Loss(task="classification"), fused=fused)


def unpadded(network: Network, rows: Tensor) -> Tensor:
    return torch.cat([view.flatten(1) for view in network.layout.views(rows).values()], 1)


@pytest.mark.parametrize("chunk", [None, 16])  # in one chunk, and in several of which the last is short
@pytest.mark.parametrize("name", CASES)
def test_all_runs_at_once(name: str, chunk: int | None) -> None:
    network, data, params, buffers, modules = made(name)
    around = Curvature(objective(network), data, params, buffers, chunk=chunk)
    vectors = torch.randn(params.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    vectors = network.layout.pack(network.layout.views(vectors))
    loss, gradient = around.gradient()
    product = around.product(vectors)
    again = around.product(vectors)
    assert torch.equal(product, again)
    for i, module in enumerate(modules):
        true_loss, true_gradient, hessian = exact(module, data)
        np.testing.assert_allclose(loss[i], true_loss.detach(), **EXACT)
        np.testing.assert_allclose(unpadded(network, gradient)[i], true_gradient.detach(), **EXACT)
        expected = hessian @ unpadded(network, vectors)[i]
        np.testing.assert_allclose(unpadded(network, product)[i], expected.detach(), **EXACT)
    np.testing.assert_allclose(around.losses(params), loss, **EXACT)


def test_one_run_without_vmap_is_the_same() -> None:
    network, data, params, buffers, _ = made("dropping")
    one = {name: tensor[1:2] for name, tensor in buffers.items()}
    alone = Curvature(objective(network, fused=False), data, params[1:2], one)
    together = Curvature(objective(network), data, params, buffers)
    vectors = network.layout.pack(network.layout.views(torch.ones_like(params)))
    np.testing.assert_allclose(alone.product(vectors[1:2])[0], together.product(vectors)[1], **EXACT)
    np.testing.assert_allclose(alone.gradient()[1][0], together.gradient()[1][1], **EXACT)


def test_a_linear_models_squared_error_has_twice_the_mean_of_x_xt() -> None:
    network = Network.of(lambda: nn.Linear(3, 1), (3,), 1, device=CPU)
    draw = torch.Generator().manual_seed(3)
    data = Data(x=torch.randn(10, 3, generator=draw), y=torch.randn(10, generator=draw))
    params = torch.zeros(1, network.layout.size, dtype=torch.float64)
    around = Curvature(
        Objective(network=network, loss=Loss(task="regression"), fused=True), data, params, {}, unit=4.0
    )
    extended = torch.cat([data.x.double(), torch.ones(10, 1, dtype=torch.float64)], 1)
    hessian = 4.0 * 2.0 * extended.T @ extended / 10
    for i in range(4):
        unit = network.layout.pack(
            {"weight": torch.eye(4, dtype=torch.float64)[i : i + 1, None, :3],
             "bias": torch.eye(4, dtype=torch.float64)[i : i + 1, 3:]}
        )  # fmt: skip
        np.testing.assert_allclose(unpadded(network, around.product(unit))[0], hessian[i], **EXACT)


@pytest.mark.parametrize(("name", "chunk"), thinned(product(CASES, [128, 8, 7]), strength=1))
def test_machine_code_of_all_runs(name: str, chunk: int) -> None:
    """21 examples: in one chunk, in whole chunks, and with a last one that begins early."""
    network, data, params, buffers, modules = made(name)
    single = {n: b.float() if b.is_floating_point() else b for n, b in buffers.items()}
    product = NativeProducts(
        objective(network, fused=False), data, params.float(), single, unit=2.0, chunk=chunk
    )
    for seed in (2, 3):  # the second call finds nothing of the first
        drawn = torch.randn(params.shape, generator=torch.Generator().manual_seed(seed))
        vectors = network.layout.pack(network.layout.views(drawn))
        found = product(vectors)
        assert torch.equal(found, product(vectors))
        for i, module in enumerate(modules):
            _, _, hessian = exact(module, data)
            expected = 2.0 * hessian @ unpadded(network, vectors)[i].double()
            np.testing.assert_allclose(unpadded(network, found)[i], expected.detach(), rtol=2e-4, atol=2e-6)
    assert network.module.training
