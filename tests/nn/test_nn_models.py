from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.nn import functional as F
from unkeyed import unkeyed_randomness

from ravine import rng
from ravine.errors import ModelError
from ravine.forms import Form, Refused
from ravine.nn.build import build, check_output
from ravine.nn.dropout import Dropout
from ravine.nn.spec import MLP, RATES, ConvNet, Module, ResNet
from ravine.nn.stochastic import stochastic_modules


def made(spec: MLP | ConvNet | ResNet, shape: tuple[int, ...], k: int = 3, **options: bool) -> nn.Module:
    with rng.keyed_init(0):
        return build(spec, shape, k, **options)


def test_specs_are_frozen_and_torch_free() -> None:
    with pytest.raises(AttributeError):
        MLP().hidden = (3,)  # type: ignore[misc]
    code = "import sys, ravine.nn.spec, ravine.nn.target; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("kind", "table", "key"),
    [
        (MLP, {"hidden": [0]}, "hidden"),
        (MLP, {"hidden": 32}, "hidden"),
        (MLP, {"width": 3}, "width"),
        (MLP, {"activation": "rleu"}, "activation"),
        (MLP, {"dropout": 1.0}, "dropout"),
        (MLP, {"dropout": float("nan")}, "dropout"),
        (MLP, {"dropout": -0.1}, "dropout"),
        (ConvNet, {"channels": []}, "channels"),
        (ResNet, {"depth": 18}, "depth"),
        (Module, {"target": "package.Name"}, "target"),
        (Module, {"target": "os:system('x')"}, "target"),
    ],
)
def test_wrong_tables_name_the_key(kind: type[Form], table: dict[str, object], key: str) -> None:
    with pytest.raises(Refused, match=key):
        kind.of(table)


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "silu"])
@pytest.mark.parametrize("shape", [(5,), (1, 4, 4)])
def test_mlp(norm: str, activation: str, shape: tuple[int, ...]) -> None:
    check_output(made(MLP(hidden=(7, 6), norm=norm, activation=activation), shape), shape, 3)


def test_mlp_is_the_formula() -> None:
    net, x = made(MLP(hidden=(7,), activation="tanh"), (5,)), torch.linspace(-1, 1, 10).reshape(2, 5)
    p = dict(net.named_parameters())
    want = torch.tanh(x @ p["linear1.weight"].T + p["linear1.bias"]) @ p["output.weight"].T + p["output.bias"]
    assert torch.allclose(net(x), want, atol=1e-6)
    linear = made(MLP(hidden=()), (5,))
    assert [n for n, _ in linear.named_parameters()] == ["output.weight", "output.bias"]


@pytest.mark.parametrize("hidden", [0, 16])
@pytest.mark.parametrize("norm", ["none", "batch", "group"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 7, 5), (3, 1, 1), (2, 2, 9)])
def test_convnet(hidden: int, norm: str, shape: tuple[int, ...]) -> None:
    spec = ConvNet(channels=(6, 12, 8, 4), hidden=hidden, norm=norm)
    if norm == "batch" and shape[1:] == (1, 1):
        shape = (3, 2, 2)
    check_output(made(spec, shape), shape, 3)


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_resnet(norm: str) -> None:
    check_output(made(ResNet(depth=8, width=4, norm=norm), (1, 8, 8)), (1, 8, 8), 3)


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85)])
def test_resnet_has_the_papers_number_of_parameters(depth: int, millions: float) -> None:
    net = made(ResNet(depth=depth), (3, 32, 32), 10)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, abs=0.006)
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in net.modules()) == depth


def test_resnet_shortcut_is_option_a() -> None:
    net = made(ResNet(depth=8, width=4), (1, 8, 8)).eval()
    block = net.block2_1
    nn.init.zeros_(block.norm2.weight)
    x = torch.rand(2, 4, 8, 8)
    y = block(x)
    assert y.shape == (2, 8, 4, 4)
    assert torch.equal(y[:, :4], x[:, :, ::2, ::2])
    assert y[:, 4:].eq(0).all()


@pytest.mark.parametrize(
    ("spec", "shape", "layers"),
    [
        (MLP(hidden=(8, 8), dropout=0.3), (5,), ["dropout1", "dropout2"]),
        (ConvNet(channels=(4,), dropout=0.3), (1, 8, 8), ["dropout"]),
        (ResNet(depth=8, width=4, dropout=0.3), (1, 8, 8), ["dropout"]),
    ],
)
def test_dropout_layers_change_neither_names_nor_initial_values(
    spec: MLP | ConvNet | ResNet, shape: tuple[int, ...], layers: list[str]
) -> None:
    with_it, without = made(spec, shape), made(spec.but(dropout=0.0), shape)
    assert [n for n, m in with_it.named_modules() if isinstance(m, Dropout)] == layers
    assert not any(isinstance(m, Dropout) for m in without.modules())
    forced = made(spec.but(dropout=0.0), shape, rates=["dropout"])
    assert [n for n, m in forced.named_modules() if isinstance(m, Dropout)] == layers
    for other in (without, forced):
        assert list(other.state_dict()) == list(with_it.state_dict())
        for name, p in with_it.state_dict().items():
            assert torch.equal(p, other.state_dict()[name])
    x = torch.rand(4, *shape)
    assert torch.equal(forced(x), without(x))
    assert unkeyed_randomness(with_it, shape) == []


def test_convnet_fuses() -> None:
    nets = []
    for seed in range(3):
        with rng.keyed_init(seed):
            nets.append(build(ConvNet(channels=(4, 6), hidden=5, norm="batch"), (1, 8, 8), 3))
    x = torch.rand(4, 1, 8, 8)
    params = {n: torch.stack([m.state_dict()[n] for m in nets]) for n in nets[0].state_dict()}
    got = vmap(lambda p: functional_call(nets[0], p, (x,)))(params)
    want = torch.stack([m(x) for m in nets])
    assert torch.allclose(got, want, atol=1e-5)


def test_a_convnet_learns() -> None:
    net = made(ConvNet(channels=(8,), hidden=16, norm="group"), (1, 6, 6), 2)
    x = rng.normal(rng.key(0, "x"), (64, 1, 6, 6))
    y = (x.mean((1, 2, 3)) > 0).long()
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    assert (net(x).argmax(1) == y).float().mean() > 0.95


@pytest.mark.parametrize("spec", [ConvNet(), ResNet()])
def test_pictures_are_needed(spec: ConvNet | ResNet) -> None:
    with pytest.raises(
        ModelError, match=r"needs pictures \(channels, height, width\); one example has shape 64"
    ):
        build(spec, (64,), 10)


@pytest.mark.parametrize(("norm", "dropped"), [("batch", [3]), ("layer", [1, 2, 3]), ("none", [1, 2, 3])])
def test_dropout_comes_behind_the_last_batch_norm(norm: str, dropped: list[int]) -> None:
    net = build(MLP(hidden=(4, 4, 4), norm=norm), (2,), 3, rates=["dropout"])
    assert [name for name, _ in net.named_children() if name.startswith("dropout")] == [
        f"dropout{i}" for i in dropped
    ]


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (MLP(hidden=(4, 4)), (3,)),
        (ConvNet(channels=(2,), hidden=0), (1, 6, 6)),
        (ResNet(depth=8, width=4), (1, 6, 6)),
    ],
)
def test_names_and_initial_values_do_not_depend_on_stochastic_layers(
    model: Any, shape: tuple[int, ...]
) -> None:
    states = []
    for rates in ((), [name for name in RATES if hasattr(model, name)]):
        with rng.keyed_init(1):
            states.append(build(model, shape, 3, rates=rates).state_dict())
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_residual_network_drops_its_branches_by_the_linear_rule() -> None:
    net = build(ResNet(depth=14, width=2, depth_drop=0.6), (1, 6, 6), 3)
    shares = [layer.share for _, layer in stochastic_modules(net)]
    assert shares == pytest.approx([i / 6 for i in range(1, 7)])
    assert [float(layer.rate) for _, layer in stochastic_modules(net)] == pytest.approx(
        [i / 10 for i in range(1, 7)]
    )
