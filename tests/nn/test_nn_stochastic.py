"""Layers that are random in training: every mask enumerated, closed forms, and what must never come out."""

from __future__ import annotations

import copy
import itertools
import pickle
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional as F

from ravine import rng
from ravine.errors import ModelError
from ravine.nn import (
    AlphaDropout,
    DropConnectConv2d,
    DropConnectLinear,
    Dropout,
    FractionalMaxPool2d,
    Stochastic,
    StochasticDepth,
    StochasticPool2d,
    freeze_norms,
    keyed,
    mode,
)
from ravine.nn.stochastic import set_keyed

KEY = rng.key(3, "layer", 5)
Make = Callable[[float], Stochastic]
LAYERS: dict[str, tuple[Make, tuple[int, ...]]] = {
    "dropout": (Dropout, (6, 4)),
    "dropout-classic": (lambda p: Dropout(p, scale="classic"), (6, 4)),
    "channels": (lambda p: Dropout(p, 2), (3, 4, 2, 2)),
    "alpha": (AlphaDropout, (6, 4)),
    "alpha-features": (lambda p: AlphaDropout(p, features=True), (3, 4, 2)),
    "linear": (lambda p: DropConnectLinear(4, 3, p, activation="relu"), (6, 4)),
    "linear-inverted": (lambda p: DropConnectLinear(4, 3, p, activation="tanh", scale="inverted"), (6, 4)),
    "linear-example": (lambda p: DropConnectLinear(4, 3, p, activation="silu", draw="example"), (6, 4)),
    "linear-gaussian": (lambda p: DropConnectLinear(4, 3, p, activation="gelu", draw="gaussian"), (6, 4)),
    "conv": (lambda p: DropConnectConv2d(2, 3, 3, p, padding=1, activation="relu"), (2, 2, 4, 4)),
    "conv-example": (lambda p: DropConnectConv2d(2, 3, 3, p, draw="example", stride=2), (2, 2, 5, 5)),
    "depth": (StochasticDepth, (6, 4)),
    "depth-example": (lambda p: StochasticDepth(p, scale="inverted", draw="example"), (6, 4)),
    "pool": (lambda p: StochasticPool2d(2, rate=p), (2, 2, 4, 6)),
    "pool-overlapping": (lambda p: StochasticPool2d(3, 2, rate=p), (2, 2, 5, 7)),
    "fractional": (lambda p: FractionalMaxPool2d(1.4, rate=p), (2, 2, 7, 8)),
    "fractional-random": (
        lambda p: FractionalMaxPool2d(1.4, rate=p, regions="random", test="exact"),
        (2, 1, 7, 8),
    ),
    "fractional-example": (lambda p: FractionalMaxPool2d(1.4, rate=p, draw="example", test=3), (2, 2, 7, 8)),
}


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        yield


def made(name: str, rate: float, dtype: torch.dtype = torch.float64) -> tuple[Stochastic, Tensor]:
    make, shape = LAYERS[name]
    with rng.keyed_init(1):
        layer = set_keyed(make(rate).to(dtype))
    layer.key, layer.rate = KEY, torch.tensor(rate)
    return layer, rng.normal(rng.key(0, "x"), shape, dtype)


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_are_those_of_differences(name: str) -> None:
    layer, x = made(name, 0.4)
    for training in (True, False):
        layer.train(training)
        assert torch.autograd.gradcheck(layer, (x.requires_grad_(),), atol=1e-6, fast_mode=True)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_a_pure_function_of_rate_and_key_and_works_under_vmap(name: str) -> None:
    layer, x = made(name, 0.4, torch.float32)
    rates = torch.tensor([0.0, 0.4, 0.9])
    keys = rng.key(torch.arange(3), "layer")
    for training in (True, False):
        layer.train(training)

        def one(rate: Tensor, key: Tensor) -> Tensor:
            return functional_call(layer, {"rate": rate, "key": key}, (x,))

        together = vmap(one)(rates, keys)
        for y, rate, key in zip(together, rates, keys, strict=True):
            torch.testing.assert_close(y, one(rate, key))
    assert not any(name in ("rate", "key") for name in layer.state_dict())


@pytest.mark.parametrize("name", LAYERS)
def test_rate_one_is_never_nan_and_modes_are_what_they_say(name: str) -> None:
    layer, x = made(name, 1.0, torch.float32)
    assert layer(x).isfinite().all()
    assert layer.eval()(x).isfinite().all()
    layer, x = made(name, 0.5, torch.float32)
    if layer.kind != "fractional_pool":  # 2 x 2 regions may be drawn alike
        layer.keyed = False
        with mode(layer.eval(), "mc"):
            assert len({tuple(layer(x).flatten().tolist()) for _ in range(6)}) > 1
    with mode(layer.train(), "mean"):
        assert torch.equal(layer(x), layer.eval()(x))


@pytest.mark.parametrize(
    "name", ["dropout", "dropout-classic", "alpha", "channels", "depth", "depth-example"]
)
def test_rate_zero_is_the_identity_to_the_bit_and_one_drops_all(name: str) -> None:
    layer, x = made(name, 0.0, torch.float32)
    x = torch.where(
        x > 0, x, torch.tensor([float("inf"), float("nan"), -0.0, 1e-45]).reshape(-1, *[1] * (x.dim() - 2))
    )
    for y in (layer(x), layer.eval()(x)):
        assert torch.equal(y.view(torch.int32), x.view(torch.int32))
    layer.train().rate = torch.tensor(1.0)
    assert torch.equal(layer(x), torch.zeros_like(x))  # of infinities too


@pytest.mark.parametrize("name", ["linear", "linear-gaussian", "conv"])
def test_dropconnect_at_rate_zero_is_the_plain_layer_to_the_bit(name: str) -> None:
    layer, x = made(name, 0.0, torch.float32)
    plain = (
        F.conv2d(x, layer.weight, layer.bias, padding=1)
        if name == "conv"
        else F.linear(x, layer.weight, layer.bias)
    )
    expected = F.gelu(plain) if name == "linear-gaussian" else plain.relu()
    assert torch.equal(layer(x), expected)
    assert torch.equal(layer.eval()(x), expected)


def test_a_higher_rate_drops_all_that_a_lower_one_drops() -> None:
    x = torch.ones(1000)
    masks = [set_keyed(Dropout(p)).draw_mask(x, KEY) for p in (0.1, 0.3, 0.7)]
    assert (masks[0] >= masks[1]).all()
    assert (masks[1] >= masks[2]).all()
    assert 50 < (masks[0] - masks[1]).sum() < 350


def test_infinity_stays_where_it_is_kept_and_is_gone_where_it_is_dropped() -> None:
    layer = Dropout(0.5)
    layer.mask = torch.tensor([1.0, 0.0])
    assert layer(torch.full((2,), float("inf"))).tolist() == [float("inf"), 0.0]
    assert Dropout(1.0).eval()(torch.ones(2)).tolist() == [1.0, 1.0]


def test_one_mask_can_be_shared_between_calls() -> None:
    layer = Dropout(0.5)
    x = torch.ones(4, 10)
    layer.mask = layer.draw_mask(x, KEY)
    assert torch.equal(layer(x), layer(x))
    assert torch.equal(layer(x), 2 * x * layer.mask)


@pytest.mark.parametrize("scale", ["inverted", "classic"])
def test_behind_a_softmax_the_mean_pass_is_the_geometric_mean_over_all_masks(scale: str) -> None:
    layer, p = Dropout(0.3, scale=scale), 0.3
    x, output = torch.randn(6, dtype=torch.float64), nn.Linear(6, 3).double()
    logs, linear, total = torch.zeros(3), torch.zeros(3), 0.0
    for mask in itertools.product([0.0, 1.0], repeat=6):
        layer.mask = torch.tensor(mask)
        chance = p ** (6 - sum(mask)) * (1 - p) ** sum(mask)
        logs = logs + chance * output(layer(x)).log_softmax(0)
        linear = linear + chance * output(layer(x))
        total += chance
    assert total == pytest.approx(1)
    mean = output(layer.eval()(x))
    torch.testing.assert_close(logs.softmax(0), mean.softmax(0), rtol=1e-6, atol=1e-7)  # p is a float32
    torch.testing.assert_close(linear, mean, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("scale", ["classic", "inverted"])
def test_dropconnects_moments_are_those_over_all_masks(scale: str) -> None:
    p, q = 0.25, 0.75
    layer = DropConnectLinear(8, 16, p, scale=scale, activation="relu").double()
    x = torch.randn(1, 8, dtype=torch.float64)
    gain = 1 / q if scale == "inverted" else 1.0
    masks = torch.tensor(
        list(itertools.product([0.0, 1.0], repeat=9)), dtype=torch.float64
    )  # a row and its bias
    chances = p ** (9 - masks.sum(1)) * q ** masks.sum(1)
    u = (
        gain
        * (masks * torch.cat([x[0], torch.ones(1)]))
        @ torch.cat([layer.weight, layer.bias[:, None]], 1).mT
    )
    first, second, rectified = chances @ u, chances @ u**2, chances @ u.relu()
    mean, variance = layer.moments(x)
    torch.testing.assert_close(mean[0], first, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(variance[0], second - first**2, rtol=1e-6, atol=1e-7)
    # 512 masks are no normal distribution, but far nearer to one than to weights scaled by q.
    assert (layer.eval()(x)[0] - rectified).abs().sum() < 0.5 * (first.relu() - rectified).abs().sum()


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "silu"])
def test_the_mean_of_an_activation_is_its_integral(activation: str) -> None:
    from ravine.nn.activations import FUNCTIONS, mean_of

    z = torch.linspace(-9, 9, 20001, dtype=torch.float64)
    weight = torch.exp(-z * z / 2)
    for mean, variance in itertools.product((-2.0, 0.3, 5.0), (0.01, 0.5, 2.0)):
        integral = (FUNCTIONS[activation](mean + variance**0.5 * z) * weight).sum() / weight.sum()
        ours = mean_of(activation, torch.tensor(mean).double(), torch.tensor(variance).double())
        assert float(ours) == pytest.approx(float(integral), abs=1e-4)


@pytest.mark.parametrize("draw", ["batch", "example", "gaussian"])
def test_draws_of_dropconnect_have_its_moments(draw: str) -> None:
    layer = DropConnectLinear(5, 3, 0.4, draw=draw)
    x = torch.randn(1, 5)
    with torch.no_grad():
        if draw == "batch":
            keys = rng.key(0, "many", torch.arange(4000))
            many = vmap(lambda key: layer.sample(x, key))(keys)[:, 0]
        else:
            many = layer.sample(x.expand(4000, -1), KEY)
        mean, variance = (each[0] for each in layer.moments(x))
    assert ((many.mean(0) - mean).abs() < 5 * (variance / 4000) ** 0.5).all()
    torch.testing.assert_close(many.var(0), variance, rtol=0.15, atol=0)
    rows = layer.sample(x.expand(2, -1), KEY)
    assert torch.equal(rows[0], rows[1]) == (draw == "batch")


@pytest.mark.parametrize("draw", ["batch", "example"])
def test_a_dropconnect_convolution_is_the_linear_layer_over_patches(draw: str) -> None:
    conv = DropConnectConv2d(2, 3, 3, 0.4, stride=2, padding=1, draw=draw, activation="relu").double()
    linear = DropConnectLinear(18, 3, 0.4, draw=draw, activation="relu").double()
    linear.weight.data, linear.bias.data = conv.weight.data.flatten(1), conv.bias.data
    x = torch.randn(2, 2, 5, 5, dtype=torch.float64)
    patches = F.unfold(x, 3, padding=1, stride=2).mT  # (B, places, inputs)
    for ours, theirs in (
        (conv.sample(x, KEY), linear.sample(patches, KEY)),
        (conv.mean(x), linear.mean(patches)),
    ):
        torch.testing.assert_close(ours.flatten(2).mT, theirs)


def test_stochastic_pooling_picks_by_size_and_averages_by_size() -> None:
    x = torch.tensor([[[[1.0, 3.0], [0.0, -7.0]]]], requires_grad=True)
    layer = StochasticPool2d(2)
    assert layer.eval()(x).item() == 2.5
    many = layer.train()(x.expand(1, 20_000, 2, 2))
    assert set(many.unique().tolist()) == {1.0, 3.0}
    assert abs(float(many.detach().mean()) - 2.5) < 5 * 0.87 / 20_000**0.5
    y = layer(x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, (x == y).float())  # to the winner alone


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_region_without_a_positive_number_gives_zero_and_no_gradient(value: float) -> None:
    x = torch.full((1, 1, 4, 4), value, requires_grad=True)
    for layer in (StochasticPool2d(2), StochasticPool2d(2).eval()):
        y = layer(x)
        (grad,) = torch.autograd.grad(y.sum(), x)
        assert torch.equal(y, torch.zeros(1, 1, 2, 2))
        assert torch.equal(grad, torch.zeros_like(x))


def test_stochastic_pooling_of_what_is_huge_or_no_number() -> None:
    def pooled(*numbers: float) -> list[float]:
        x = torch.tensor(numbers).reshape(1, 1, 2, 2)
        return [float(layer(x)) for layer in (StochasticPool2d(2), StochasticPool2d(2).eval())]

    assert pooled(3e38, 3e38, 3e38, 3e38) == pytest.approx([3e38] * 2)
    assert pooled(1.0, float("inf"), 0.0, 2.0) == [float("inf")] * 2
    assert all(number != number for number in pooled(1.0, float("nan"), 0.0, 2.0))


def test_stochastic_pooling_at_rate_zero_is_max_pooling() -> None:
    x = torch.randn(2, 3, 6, 6).relu()
    for layer in (StochasticPool2d(2, rate=0.0), StochasticPool2d(2, rate=0.0).eval()):
        assert torch.equal(layer(x), F.max_pool2d(x, 2))


def test_stochastic_depth_enumerated_and_its_linear_rule() -> None:
    blocks = [StochasticDepth(0.5, nn.Linear(2, 2).double(), share=(i + 1) / 3) for i in range(3)]
    assert [round(float(block.rate), 6) for block in blocks] == [0.166667, 0.333333, 0.5]
    x = torch.randn(4, 2, dtype=torch.float64)
    expected = torch.zeros_like(x)
    for gates in itertools.product([0.0, 1.0], repeat=3):
        y, chance = x, 1.0
        for block, gate in zip(blocks, gates, strict=True):
            y = y + gate * block.branch(y)  # type: ignore[misc]
            chance *= float(block.rate) if gate == 0 else 1 - float(block.rate)
        expected = expected + chance * y
    mean = nn.Sequential(*blocks).eval()(x)
    torch.testing.assert_close(mean, expected)  # branches are linear: the mean pass is the mean, exactly


@pytest.mark.parametrize("keyed", [True, False])
def test_a_closed_gate_leaves_norms_alone_and_computes_nothing(keyed: bool) -> None:
    calls = []
    branch = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    branch.register_forward_hook(lambda *_: calls.append(1))
    layer = set_keyed(StochasticDepth(1.0, branch), keyed)
    before = {name: each.clone() for name, each in branch.named_buffers()}
    x = torch.randn(8, 3)
    assert torch.equal(layer(x), x)
    assert all(torch.equal(each, before[name]) for name, each in branch.named_buffers())
    assert not calls
    layer.rate = torch.tensor(0.0)
    assert torch.equal(layer(x), x + branch(x))
    assert branch[1].num_batches_tracked == 2


def test_behind_a_closed_gate_a_branch_draws_what_it_would_have_drawn() -> None:
    """What is drawn afterwards does not depend on the gate; norms do not see the pass, and gradients are 0."""
    branch = nn.Sequential(nn.BatchNorm1d(3), nn.ReLU(inplace=True), nn.Dropout(0.5))
    layer = set_keyed(StochasticDepth(1.0, branch), True)
    x = torch.randn(8, 3, requires_grad=True)
    drawn = []
    for rate in (1.0, 0.0):
        layer.rate = torch.tensor(rate)
        before = [each.clone() for each in branch.buffers()]
        with rng.keyed_draws(seed=1, stream="forward", step=2):
            y = layer(x)
            drawn.append(torch.rand(4))
        assert torch.equal(y, x) == (rate == 1)
        assert (branch[0].num_batches_tracked == before[2]) == (rate == 1)
        grads = torch.autograd.grad(y.sum(), [x, *branch.parameters()], allow_unused=True)
        assert all(grad is None for grad in grads[1:]) == (rate == 1)
    assert torch.equal(*drawn)


def test_a_gate_per_example_is_shared_by_its_numbers() -> None:
    y = StochasticDepth(0.5, draw="example")(torch.ones(200, 7))
    assert {row.tolist().count(0.0) for row in y} == {0, 7}
    assert StochasticDepth(0.5)(torch.ones(200, 7)).unique().numel() == 1


def test_frozen_norms_survive_training_and_being_copied() -> None:
    net = nn.Sequential(
        nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2), nn.BatchNorm1d(2)
    )
    net(torch.randn(4, 2, 2, 2))
    names = list(net.state_dict())
    freeze_norms(net, parameters=True).train()
    assert list(net.state_dict()) == names
    for same in (net, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        before = {name: each.clone() for name, each in same.train().named_buffers()}
        same(torch.randn(4, 2, 2, 2))
        assert all(torch.equal(each, before[name]) for name, each in same.named_buffers())
        assert not same[1].weight.requires_grad
        assert isinstance(same[1], nn.BatchNorm2d)
    with pytest.raises(ModelError, match=r"^freeze_norms: '0' has no running statistics"):
        freeze_norms(nn.Sequential(nn.BatchNorm1d(2, track_running_stats=False)))


def test_monte_carlo_passes_vary_while_norms_stay_in_eval() -> None:
    net = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 8), Dropout(0.5)).eval()
    before = net[0].running_mean.clone()
    with mode(net, "mc"), torch.no_grad():
        many = torch.stack([net(torch.ones(2, 4)) for _ in range(20)])
    assert (many.var(0) > 0).any()
    assert torch.equal(net[0].running_mean, before)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: Dropout(1.5), "Dropout: rate must be a number in [0, 1], not 1.5"),
        (lambda: Dropout("0.5"), "Dropout: rate must be a number in [0, 1], not '0.5'"),  # type: ignore[arg-type]
        (lambda: Dropout(0.5, -1), "Dropout: num_shared must be at least 0, not -1"),
        (lambda: Dropout(0.5, 2)(torch.ones(6)), "Dropout: an input of shape (6,) has no 2 dimensions"),
        (
            lambda: DropConnectLinear(4, 3, draw="example")(torch.ones(4)),
            "DropConnectLinear: draw = 'example' needs a batch of examples, not shape (4,)",
        ),
        (
            lambda: keyed(nn.Dropout2d(0.5))(torch.ones(2, 3, 4)),
            "nn.Dropout2d: needs an input (B, C, H, W), not of shape (2, 3, 4); nn.Dropout1d drops",
        ),
        (
            lambda: Dropout(0.5, scale="other"),
            "Dropout: scale must be one of 'inverted', 'classic', not 'other'",
        ),
        (
            lambda: StochasticDepth(draw="example")(torch.ones(())),
            "StochasticDepth: draw = 'example' needs a batch of examples, not shape ()",
        ),
        (lambda: StochasticDepth(share=2), "StochasticDepth: share must lie in [0, 1], not 2"),
        (
            lambda: FractionalMaxPool2d(2.5),
            "FractionalMaxPool2d: ratio must be above 1 and at most 2, not 2.5",
        ),
        (
            lambda: FractionalMaxPool2d(test=0),
            "FractionalMaxPool2d: test must be 'fixed', 'exact' or a number of",
        ),
        (lambda: StochasticPool2d(0), "StochasticPool2d: kernel_size and stride must be at least 1"),
        (
            lambda: StochasticPool2d(3)(torch.ones(1, 1, 2, 9)),
            "StochasticPool2d: a picture of 2x9 pixels has no",
        ),
        (
            lambda: DropConnectLinear(2, 2, activation="elu"),
            "DropConnectLinear: activation must be one of 'none',",
        ),
    ],
)
def test_mistakes_are_one_line(make: Callable[[], object], line: str) -> None:
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value).startswith(line)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_module_of_another_type_draws_the_same(dtype: torch.dtype) -> None:
    for name in ("dropout", "linear", "depth", "pool", "alpha"):
        layer, x = made(name, 0.3, torch.float32)
        once = layer(x)
        other = layer.to(dtype)(x.to(dtype))
        assert other.dtype == dtype
        assert layer.rate.dtype == torch.float32
        torch.testing.assert_close(other.float(), once, rtol=0.05, atol=0.05)
