"""A user's random layers: the same functions as PyTorch's, with draws that can be keyed."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from ravine import rng
from ravine.nn import AlphaDropout, Dropout, keyed, mode
from ravine.nn.attention import KeyedAttention
from ravine.nn.stochastic import kinds_of, set_keyed

MASKS: dict[str, dict[str, Tensor | bool]] = {
    "none": {},
    "no-weights": {"need_weights": False},
    "each-head": {"average_attn_weights": False},
    "causal": {"attn_mask": torch.triu(torch.ones(3, 3, dtype=torch.bool), 1)},
    "added": {"attn_mask": torch.linspace(-1, 1, 9).reshape(3, 3)},
    "each-example": {"attn_mask": torch.linspace(-1, 1, 72).reshape(8, 3, 3)},
    "padding": {"key_padding_mask": torch.tensor([[False, False, True]] * 4)},
}


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        yield


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("mask", MASKS)
def test_attention_that_drops_nothing_is_torchs(mask: str, batch_first: bool) -> None:
    theirs = nn.MultiheadAttention(8, 2, dropout=0.3, batch_first=batch_first)
    ours = keyed(copy.deepcopy(theirs))
    assert isinstance(ours, KeyedAttention)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    x = torch.randn((4, 3, 8) if batch_first else (3, 4, 8))
    theirs.dropout = 0.0
    ours.weights.rate = torch.tensor(0.0)
    for a, b in zip(ours(x, x, x, **MASKS[mask]), theirs(x, x, x, **MASKS[mask]), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b)


def test_attention_of_other_shapes() -> None:
    theirs = nn.MultiheadAttention(8, 2, dropout=0.3, kdim=5, vdim=6, bias=False)
    ours = keyed(copy.deepcopy(theirs))
    theirs.dropout = 0.0
    ours.weights.rate = torch.tensor(0.0)  # type: ignore[union-attr]
    q, k, v = torch.randn(3, 8), torch.randn(4, 5), torch.randn(4, 6)  # without a batch
    for a, b in zip(ours(q, k, v), theirs(q, k, v), strict=True):
        torch.testing.assert_close(a, b)


def test_attention_drops_weights_by_its_key_and_nothing_in_eval() -> None:
    plain = nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True)
    layer = set_keyed(keyed(plain))
    x = torch.randn(4, 3, 8)
    layer.weights.key = rng.key(0, "a")
    y, weights = layer(x, x, x, average_attn_weights=False)
    assert torch.equal(layer(x, x, x)[0], y)
    assert 0.2 < float(weights.eq(0).float().mean()) < 0.8
    assert not layer.eval()(x, x, x, average_attn_weights=False)[1].eq(0).any()


def test_monte_carlo_passes_of_a_transformer_layer_vary_in_eval() -> None:
    layer = keyed(nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5, batch_first=True)).eval()
    x = torch.randn(2, 3, 8)
    with torch.no_grad():
        assert torch.equal(layer(x), layer(x))
        with mode(layer, "mc"):  # torch's fast path for eval would draw nothing
            assert not torch.equal(layer(x), layer(x))
        assert torch.backends.mha.get_fastpath_enabled()
    assert set(kinds_of(layer)) == {"self_attn.weights", "dropout", "dropout1", "dropout2"}


@pytest.mark.parametrize("features", [False, True])
def test_alpha_dropout_is_torchs_function(features: bool) -> None:
    theirs = nn.FeatureAlphaDropout(0.3) if features else nn.AlphaDropout(0.3)
    ours = keyed(copy.deepcopy(theirs))
    assert isinstance(ours, AlphaDropout)
    x = torch.randn(200, 50)
    a, b = ours(x), theirs(x)
    kept_a, kept_b = (
        torch.isclose(y, y.round(decimals=4).mode().values.mode().values, atol=1e-3) for y in (a, b)
    )
    assert abs(float(kept_a.float().mean() - kept_b.float().mean())) < 0.03
    for y in (a, b):  # mean 0 and variance 1 stay
        assert abs(float(y.mean())) < 0.05
        assert abs(float(y.var()) - 1) < 0.05
    both = ~kept_a & ~kept_b
    torch.testing.assert_close(a[both], b[both], rtol=1e-5, atol=1e-5)


def test_only_the_first_kinds_are_replaced_where_no_rates_are_wanted() -> None:
    """What others draw is keyed from outside, as it was in runs that a store has."""
    net = nn.Sequential(nn.Dropout(0.1), nn.AlphaDropout(0.1), nn.MultiheadAttention(4, 2, dropout=0.1))
    keyed(net, rates=False)
    assert [type(each) for each in net] == [Dropout, nn.AlphaDropout, nn.MultiheadAttention]
