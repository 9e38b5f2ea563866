from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional as F
from unkeyed import unkeyed_randomness

from ravine import rng
from ravine.nn.dropout import Dropout
from ravine.nn.replacing import keyed
from ravine.nn.stochastic import layer_keys, mode, set_keyed, stochastic_modules


def test_classic_and_inverted_agree_in_expectation_and_mask_is_inspectable() -> None:
    layer, x = set_keyed(Dropout(0.3)), torch.arange(1.0, 7.0)
    key = rng.key(0, "dropout/", 4)
    z = layer.draw_mask(x, key)
    assert z.unique().tolist() == [0, 1]
    y = functional_call(layer, {"key": key}, (x,))
    assert torch.allclose(y, x * z / 0.7, rtol=1e-6)
    # F1: the mean over many masks is the mean pass.
    keys = rng.key(0, "dropout/", torch.arange(20_000))
    many = vmap(lambda k: functional_call(layer, {"key": k}, (x,)))(keys)
    error = (many.mean(0) - layer.eval()(x)) / (x * (0.3 / 0.7 / 20_000) ** 0.5)
    assert float(error.abs().max()) < 5


def test_a_fixed_mask_is_used() -> None:
    layer = Dropout(0.5)
    layer.mask = torch.tensor([1.0, 0.0, 1.0, 0.0])
    assert layer(torch.ones(2, 4)).tolist() == [[2, 0, 2, 0]] * 2
    layer.mask = None
    assert layer(torch.ones(1000)).eq(0).any()


@pytest.mark.parametrize("value", [1.5, -0.0, float("inf"), float("nan"), 1e-45])
def test_rate_zero_is_exactly_the_identity(value: float) -> None:
    x = torch.full((64,), value)
    y = set_keyed(Dropout(0.0))(x)
    assert torch.equal(y.view(torch.int32), x.view(torch.int32))


def test_rate_one_drops_everything_with_a_finite_gradient() -> None:
    x = torch.ones(50, requires_grad=True)
    y = Dropout(1.0)(x)
    y.sum().backward()
    assert y.eq(0).all()
    assert torch.equal(x.grad, torch.zeros(50))


def test_rate_is_the_probability_of_dropping_and_differs_by_run() -> None:
    layer = set_keyed(Dropout(0.5))
    rates = torch.tensor([0.0, 0.1, 0.5, 0.9])
    keys = rng.key(torch.arange(4), "dropout/")
    y = vmap(lambda r, k: functional_call(layer, {"rate": r, "key": k}, (torch.ones(50_000),)))(rates, keys)
    dropped = y.eq(0).double().mean(1)
    assert torch.allclose(dropped, rates.double(), atol=5 * (0.25 / 50_000) ** 0.5)
    kept = torch.stack([y[i][y[i] != 0][0] for i in range(4)])
    assert torch.allclose(kept, 1 / (1 - rates))


def test_gradient_flows_through_kept_units_only() -> None:
    layer, key = set_keyed(Dropout(0.4)), rng.key(1, "dropout/")
    x = torch.linspace(1, 2, 30)
    g = grad(lambda x: functional_call(layer, {"key": key}, (x,)).sum())(x)
    assert torch.equal(g, layer.draw_mask(x, key) / (1 - layer.rate))


def test_modes() -> None:
    net = nn.Sequential(nn.Linear(4, 50), Dropout(0.5), Dropout(0.2))
    x = torch.ones(2, 4)
    with torch.no_grad():
        assert not torch.equal(net(x), net(x))
        assert torch.equal(net.eval()(x), net[0](x))
        with mode(net, "mc"):
            assert not torch.equal(net(x), net(x))
        assert torch.equal(net(x), net[0](x))
        with mode(net.train(), "mean"):
            assert torch.equal(net(x), net[0](x))
    assert [m.mode for _, m in stochastic_modules(net)] == [None, None]


def test_alone_it_draws_from_torchs_generator_and_keyed_it_does_not() -> None:
    layer, x = Dropout(0.5), torch.ones(100)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        state = torch.get_rng_state()
        first = layer(x)
        assert not torch.equal(state, torch.get_rng_state())
        torch.set_rng_state(state)
        assert torch.equal(layer(x), first)
        set_keyed(layer)
        state = torch.get_rng_state()
        assert torch.equal(layer(x), layer(x))
        assert torch.equal(state, torch.get_rng_state())


def test_keys_of_layers_steps_seeds_and_passes_differ() -> None:
    seen = set()
    for draw in (0, 1):
        for step in (0, 1):
            keys = layer_keys({"a": "dropout", "b": "dropout"}, torch.arange(2), step, draw)
            assert list(keys) == ["a.key", "b.key"]
            seen |= {int(k) for v in keys.values() for k in v}
    assert len(seen) == 16


@pytest.mark.parametrize(
    ("theirs", "shape"),
    [
        (nn.Dropout(0.4), (3, 1000)),
        (nn.Dropout1d(0.4), (40, 50, 6)),
        (nn.Dropout2d(0.4), (40, 50, 3, 4)),
        (nn.Dropout3d(0.4), (40, 50, 2, 3, 2)),
    ],
)
def test_torchs_dropout_is_replaced_by_the_same_function(theirs: nn.Module, shape: tuple[int, ...]) -> None:
    ours = keyed(theirs)
    assert isinstance(ours, Dropout)
    assert float(ours.rate) == pytest.approx(0.4)
    x = torch.ones(shape)
    a, b = theirs(x), ours(x)
    for y in (a, b):
        assert y.unique().tolist() == pytest.approx([0.0, 1 / 0.6])
    lead = len(shape) - ours.num_shared
    per_draw_a, per_draw_b = (
        y.reshape(*shape[:lead], -1) if ours.num_shared else y.unsqueeze(-1) for y in (a, b)
    )
    assert torch.equal(per_draw_b, per_draw_b[..., :1].expand_as(per_draw_b))
    assert torch.equal(per_draw_a, per_draw_a[..., :1].expand_as(per_draw_a))
    assert abs(float(b.eq(0).float().mean()) - 0.4) < 0.08
    assert torch.equal(ours.eval()(x), x)


def test_replacing_keeps_the_tree() -> None:
    shared = nn.Dropout(0.1)
    net = nn.Sequential(nn.Linear(4, 4), shared, nn.Sequential(nn.Linear(4, 4), shared), nn.Identity()).eval()
    names = list(net.state_dict())
    assert keyed(net) is net
    assert net[1] is net[2][1]
    assert isinstance(net[1], Dropout)
    assert not net[1].training
    assert list(net.state_dict()) == names
    assert [n for n, _ in stochastic_modules(net)] == ["1"]


class CallsDropout(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.linear(x), 0.5, self.training) + torch.rand(3)


class Encoder(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=dropout, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


def test_randomness_that_no_key_reaches_is_named() -> None:
    found = unkeyed_randomness(CallsDropout(), (4,))
    assert len(found) == 2
    assert all(line.startswith("model (CallsDropout): aten.") for line in found)
    encoder = unkeyed_randomness(keyed(Encoder(0.1), rates=False), (3, 4))
    assert len(encoder) == 1
    assert encoder[0].startswith("layer.self_attn (MultiheadAttention): aten.")
    assert unkeyed_randomness(keyed(Encoder(0.0)), (3, 4)) == []


def test_watching_leaves_no_trace() -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.RReLU(), Dropout(0.5))
    before = {n: t.clone() for n, t in module.state_dict().items()}
    state = torch.get_rng_state()
    assert len(unkeyed_randomness(module, (4,))) == 1
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(t, before[n]) for n, t in module.state_dict().items())
    assert not module[3].keyed
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


def test_a_traced_step_takes_rate_and_key_as_inputs() -> None:
    layer = set_keyed(Dropout(0.5))
    x = torch.ones(8)

    def step(rate: Tensor, key: Tensor) -> Tensor:
        return vmap(lambda r, k: functional_call(layer, {"rate": r, "key": k}, (x,)))(rate, key)

    keys = rng.key(torch.arange(3), "dropout/", 0)
    graph = make_fx(step)(torch.full((3,), 0.5), keys)
    other_keys, other_rates = rng.key(torch.arange(3), "dropout/", 1), torch.tensor([0.0, 0.2, 0.9])
    assert torch.equal(graph(other_rates, other_keys), step(other_rates, other_keys))


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_a_rate_outside_its_range_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate must be a number in"):
        Dropout(rate)
