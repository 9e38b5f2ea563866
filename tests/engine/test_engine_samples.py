"""Monte Carlo passes against the enumeration of all masks, and what samples do not depend on."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ravine.engine.loss import Loss
from ravine.engine.mixture import of_classes, of_values
from ravine.engine.network import Network
from ravine.engine.objective import Objective
from ravine.engine.passes import Points, Sampling, drawing, one_by_one
from ravine.engine.sampling import Samples
from ravine.nn.spec import MLP, ConvNet, ResNet
from ravine.nn.stochastic import layer_keys, stochastic_modules

UNITS, CLASSES, RATE = 6, 3, 0.4


def one_layer() -> nn.Module:
    return nn.Sequential(nn.Dropout(RATE), nn.Linear(UNITS, CLASSES))


def normed() -> nn.Module:
    return nn.Sequential(
        nn.Linear(UNITS, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(RATE), nn.Linear(8, CLASSES)
    )


def branching() -> nn.Module:
    return Branching()


class Branching(nn.Module):
    """Nothing that `vmap` could take."""

    def __init__(self) -> None:
        super().__init__()
        self.drop, self.out = nn.Dropout(RATE), nn.Linear(UNITS, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.drop(x)) if float(x.sum()) < 1e9 else self.out(x)


def made(factory: Callable[[], nn.Module], seeds: tuple[int, ...] = (0,)) -> tuple[Objective, Points]:
    """Runs with weights of their seed, and BatchNorm's statistics that training might have left."""
    network = Network.of(factory, (UNITS,), CLASSES, device=torch.device("cpu"))
    initial = [network.initial(seed) for seed in seeds]
    params = torch.stack([network.layout.pack({n: i[n] for n in network.layout.names}) for i in initial])
    others = {name: torch.stack([i[name] for i in initial]) for name in network.buffers}
    for name, tensor in others.items():
        if tensor.is_floating_point():
            tensor += (-0.2 if "mean" in name else 0.3) * torch.arange(8)
    points = Points(
        params_RP=params,
        others=others,
        rates=network.rates([{}] * len(seeds), torch.device("cpu")),
        seeds=seeds,
    )
    return Objective(network=network, loss=Loss(task="classification")), points


def outputs(
    objective: Objective,
    points: Points,
    sampling: Sampling,
    x: Tensor,
    first: int = 0,
    *,
    native: bool = True,
) -> Tensor:
    samples = Samples(objective, points, sampling)
    if not native:
        samples._native, samples.backend = None, "serial"
    return torch.cat([part for _, part in samples(x, torch.arange(first, first + len(x)))], 1)


X = torch.linspace(-1.0, 2.0, 5 * UNITS).reshape(5, UNITS).sin()


def enumerated(objective: Objective, points: Points, x: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities of all masks of the one layer, (2^d, N, K), and how probable each mask is."""
    weights = objective.network.layout.view_one(points.params_RP[0])
    masks = torch.tensor(list(itertools.product([0.0, 1.0], repeat=UNITS)), dtype=torch.float64)
    logits = torch.stack([x.double() * mask / (1 - RATE) for mask in masks]) @ weights["1.weight"].double().T
    share = (masks * (1 - RATE) + (1 - masks) * RATE).prod(1)
    return (logits + weights["1.bias"].double()).log_softmax(-1), share


def test_one_softmax_layers_mean_pass_is_the_renormalized_geometric_mean() -> None:
    objective, points = made(one_layer)
    log_p, share = enumerated(objective, points, X)
    geometric = (share[:, None, None] * log_p).sum(0).log_softmax(-1)
    objective.network.module.eval()
    mean = objective.output(objective.network.layout.view_one(points.params_RP[0]), X)
    torch.testing.assert_close(mean.double().log_softmax(-1), geometric, rtol=0, atol=1e-6)


def test_mc_tends_to_the_enumeration_of_all_masks_as_one_over_the_root() -> None:
    objective, points = made(one_layer)
    log_p, share = enumerated(objective, points, X[:1])
    limit = (share[:, None, None] * log_p.exp()).sum(0)
    entropy = -(share[:, None] * (log_p.exp() * log_p).sum(-1)).sum(0)
    many = X[:1].expand(300, UNITS)  # masks of their own
    logits = outputs(objective, points, Sampling(samples=400), many)[0]
    found = of_classes(logits[:, :, None])
    assert float((found.predicted_NK.exp().mean(0) - limit[0]).abs().max()) < 2e-3  # 120,000 samples
    assert float((found.within_N.mean() - entropy[0]).abs()) < 2e-3

    def error(num: int) -> float:
        p = of_classes(logits[:, :num, None]).predicted_NK.exp()
        return float((p - limit).square().mean().sqrt())

    assert error(25) / error(100) == pytest.approx(2.0, rel=0.15)
    assert error(100) / error(400) == pytest.approx(2.0, rel=0.15)


def test_a_linear_regressions_mean_pass_is_the_limit_of_mc() -> None:
    objective, points = made(one_layer)
    objective.network.module.eval()
    mean = objective.output(objective.network.layout.view_one(points.params_RP[0]), X)[:, 0]
    values = outputs(objective, points, Sampling(samples=300), X)[0][:, :, None, 0]
    found = of_values(values, mean.double())
    assert bool(((found.predicted_NK - mean).abs() < 4 * found.within_N / 300**0.5 + 1e-6).all())
    assert float(found.sums["squares"][-1]) < 0.5 * float(found.sums["squares"][9])


@pytest.mark.parametrize("draw", ["example", "batch"])
@pytest.mark.parametrize("factory", [normed])
def test_samples_depend_on_seed_number_and_example_alone(factory: Callable[[], nn.Module], draw: str) -> None:
    objective, points = made(factory, seeds=(3, 7))
    fifty = outputs(objective, points, Sampling(samples=50, draw=draw), X)  # type: ignore[arg-type]
    hundred = outputs(objective, points, Sampling(samples=100, draw=draw), X)  # type: ignore[arg-type]
    assert torch.equal(hundred[:, :, :50], fifty)
    later = outputs(objective, points, Sampling(samples=50, draw=draw), X[2:], 2)  # type: ignore[arg-type]
    assert torch.equal(later, fifty[:, 2:])
    alone = outputs(objective, points.row(1), Sampling(samples=50, draw=draw), X)  # type: ignore[arg-type]
    assert torch.equal(alone[0], fifty[1])
    traced = outputs(objective, points, Sampling(samples=50, draw=draw), X, native=False)  # type: ignore[arg-type]
    torch.testing.assert_close(traced, fifty, rtol=0, atol=2e-6)
    assert not torch.equal(fifty[0], fifty[1])


def test_whether_examples_share_masks_is_named() -> None:
    objective, points = made(one_layer)
    same = X[:1].expand(4, UNITS)
    own = outputs(objective, points, Sampling(samples=8, draw="example"), same)[0]
    shared = outputs(objective, points, Sampling(samples=8, draw="batch"), same)[0]
    assert not torch.equal(own[0], own[1])
    assert torch.equal(shared[0], shared[3])


def test_batchnorm_evaluates_while_dropout_draws() -> None:
    objective, points = made(normed)
    before = {name: tensor.clone() for name, tensor in points.others.items()}
    found = outputs(objective, points, Sampling(samples=20), X)[0]
    assert bool((found.var(1) > 1e-6).all())
    assert all(torch.equal(tensor, before[name]) for name, tensor in points.others.items())
    # By hand: running statistics, and the mask of example 2 in sample 5.
    weights = {
        **objective.network.layout.view_one(points.params_RP[0]),
        **{n: t[0] for n, t in points.others.items()},
    }
    hidden = X[2] @ weights["0.weight"].T + weights["0.bias"]
    scaled = (hidden - weights["1.running_mean"]) / (weights["1.running_var"] + 1e-5).sqrt()
    hidden = (scaled * weights["1.weight"] + weights["1.bias"]).relu()
    [(name, layer)] = stochastic_modules(objective.network.module)
    key = layer_keys({name: "dropout"}, 0, 2, draw=5)[f"{name}.key"]
    layer.rate = torch.tensor(RATE)
    by_hand = layer.sample(hidden, key) @ weights["4.weight"].T + weights["4.bias"]
    torch.testing.assert_close(found[2, 4], by_hand, rtol=0, atol=1e-6)
    assert objective.network.module.training
    assert layer.mode is None


def test_a_model_that_vmap_cannot_take_goes_through_one_example_after_another() -> None:
    objective, points = made(branching)
    samples = Samples(objective, points, Sampling(samples=4))
    found = torch.cat([part for _, part in samples(X)], 1)
    assert samples.backend == "eager"
    keys = layer_keys({"drop": "dropout"}, 0, torch.arange(5), draw=3)["drop.key"]
    weights = objective.network.layout.view_one(points.params_RP[0])
    layer = stochastic_modules(objective.network.module)[0][1]
    layer.rate = torch.tensor(RATE)
    by_hand = layer.sample(X[1], keys[1]) @ weights["out.weight"].T + weights["out.bias"]
    torch.testing.assert_close(found[0, 1, 2], by_hand, rtol=0, atol=1e-6)


LAYERS = [
    (MLP(hidden=(6,)), (UNITS,), ("dropconnect",)),
    pytest.param(ResNet(depth=8, width=2), (1, 6, 6), ("depth_drop",), marks=pytest.mark.slow),
    (ConvNet(channels=(3,), hidden=4, pool="stochastic"), (1, 6, 6), ()),
    pytest.param(ConvNet(channels=(3,), hidden=4, pool="fractional"), (1, 6, 6), (), marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("model", "shape", "rates"), LAYERS)
def test_every_kind_of_layer_draws_for_each_example_alone(
    model: object, shape: tuple[int, ...], rates: tuple[str, ...]
) -> None:
    network = Network.of(model, shape, CLASSES, device=torch.device("cpu"), rates=rates)
    first = network.initial(1)
    hypers = {f"model.{name}": 0.5 for name in rates}
    points = Points(
        params_RP=network.layout.pack({name: first[name] for name in network.layout.names})[None],
        others={name: first[name][None] for name in (*network.buffers, *network.fixed)},
        rates=network.rates([hypers], torch.device("cpu")),
        seeds=(1,),
    )
    objective = Objective(network=network, loss=Loss(task="classification"))
    x = torch.linspace(0.0, 9.0, 3 * math.prod(shape)).sin().reshape(3, *shape)
    sampling = Sampling(samples=5)
    found = outputs(objective, points, sampling, x)[0]
    assert float(found.var(1).sum()) > 0.0
    with drawing(objective):
        tensors = {**network.layout.views(points.params_RP), **points.others, **points.rates}
        keys = sampling.keys(network.layers, torch.tensor([1]), torch.arange(3), range(1, 6))
        plain = one_by_one(objective, "example")(
            {name: tensor[0] for name, tensor in tensors.items()},
            {name: key[0] for name, key in keys.items()},
            x,
        )
    torch.testing.assert_close(found, plain, rtol=0, atol=2e-6)


class Recurrent(nn.Module):
    """What `vmap` cannot take, but for its dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.drop = nn.LSTM(2, 4, batch_first=True), nn.Dropout(RATE)
        self.out = nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        states: Tensor = self.lstm(x.unflatten(1, (3, 2)))[0]
        found: Tensor = self.out(self.drop(states)[:, -1])
        return found


class Turned(Recurrent):
    """The examples are not in the first dimension where it draws."""

    def forward(self, x: Tensor) -> Tensor:
        states: Tensor = self.lstm(x.unflatten(1, (3, 2)))[0]
        found: Tensor = self.out(self.drop(states.transpose(0, 1))[-1])
        return found


class Attending(nn.Module):
    """In eval mode PyTorch has a fast path for it, without dropout."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(2, 1, 4, dropout=RATE, batch_first=True)
        self.encoder, self.out = (
            nn.TransformerEncoder(layer, 1, enable_nested_tensor=False),
            nn.Linear(2, CLASSES),
        )

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.out(self.encoder(x.unflatten(1, (3, 2))).mean(1))
        return found


@pytest.mark.parametrize("draw", ["example", "batch"])
@pytest.mark.parametrize(("factory", "together"), [(Recurrent, True), (Turned, False), (Attending, None)])
def test_a_users_module_draws_in_whatever_way_its_passes_are_made(
    factory: type[nn.Module], together: bool | None, draw: str
) -> None:
    objective, points = made(factory)
    sampling = Sampling(samples=3, draw=draw)  # type: ignore[arg-type]
    samples = Samples(objective, points, sampling)
    found = torch.cat([part for _, part in samples(X[:3])], 1)[0]  # as many examples as steps
    assert samples._side_by_side is together
    assert bool((found.var(1).sum(-1) > 0.0).all())
    plain = Samples(objective, points, sampling)
    plain._native, plain.backend, plain._side_by_side = None, "eager", False
    torch.testing.assert_close(found, torch.cat([part for _, part in plain(X[:3])], 1)[0], rtol=0, atol=2e-6)


def test_a_mixture_is_a_mean_of_probabilities() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(7, 5, 2, CLASSES)) * 3
    answers = generator.integers(0, CLASSES, 7)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    found = of_classes(torch.from_numpy(logits), torch.from_numpy(answers))
    np.testing.assert_allclose(found.predicted_NK.exp(), p.mean((1, 2)))
    np.testing.assert_allclose(found.within_N, -(p * np.log(p)).sum(-1).mean((1, 2)))
    for num in range(1, 6):
        of_first = p[:, :num].mean((1, 2))
        np.testing.assert_allclose(found.sums["nll"][num - 1], -np.log(of_first[np.arange(7), answers]).sum())
        assert int(found.sums["right"][num - 1]) == int((of_first.argmax(1) == answers).sum())


def test_a_probability_of_nothing_has_no_entropy_and_a_finite_loss() -> None:
    logits = torch.tensor([[800.0, 0.0], [800.0, 0.0]]).reshape(1, 2, 1, 2)
    found = of_classes(logits, torch.tensor([1]))
    assert float(found.within_N) == 0.0
    assert found.sums["nll"].tolist() == pytest.approx([800.0, 800.0])
