"""Statistics are judged at 5 standard errors or more: some 10^4 comparisons, seeds fixed."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from ravine import rng

LIMIT = 5.5  # standard errors; two-sided tail 4e-8


def as_bits(words: Tensor) -> Tensor:
    return ((words.unsqueeze(-1) >> torch.arange(32)) & 1).to(torch.float32)


def worst_z(signs: Tensor) -> float:
    """Largest |mean| of columns of +-1, in standard errors."""
    return float((signs.mean(0) * signs.shape[0] ** 0.5).abs().max())


def worst_correlation(a: Tensor, b: Tensor, skip_diagonal: bool = False) -> float:
    """Largest correlation of any bit of a with any bit of b, in standard errors."""
    z = (as_bits(a) * 2 - 1).T @ (as_bits(b) * 2 - 1) / a.shape[0] ** 0.5
    return float((z - z.diag().diag() if skip_diagonal else z).abs().max())


def reference_words(seed: int, stream: str, step: int, num: int) -> list[int]:
    """The same in Python integers, written out from the definition."""

    def mix(x: int) -> int:
        x ^= x >> 16
        x = x * 0x21F0AAAD % 2**32
        x ^= x >> 15
        x = x * 0x735A2D97 % 2**32
        return x ^ (x >> 15)

    start = hashlib.sha256(f"str:{stream}".encode()).digest()
    low, high = int.from_bytes(start[:4], "little"), int.from_bytes(start[4:8], "little")
    for value in (seed, step):
        value %= 2**64
        low = mix(low ^ (value % 2**32))
        high = mix(((high ^ (value // 2**32)) + low) % 2**32)
    low = mix(low ^ high)
    words = []
    for i in range(num):
        x = mix((low + i) % 2**32) ^ ((high % 2**31) << 1 | low >> 31)
        x = x * 0x6C8E9CF5 % 2**32
        words.append(x ^ (x >> 16))
    return words


@pytest.mark.parametrize(("seed", "step"), [(0, 0), (1, 7), (2**31 - 1, 2**31), (2**40 + 3, 2**33), (-1, 5)])
def test_words_are_those_of_the_definition(seed: int, step: int) -> None:
    want = reference_words(seed, "order", step, 50)
    assert rng.bits(rng.key(seed, "order", step), 50).tolist() == want
    tensors = rng.key(torch.tensor([seed, 9]), "order", torch.tensor(step))
    assert rng.bits(tensors, 50)[0].tolist() == want


def test_key_is_the_same_in_every_process_and_version() -> None:
    # Stored runs are continued by later versions: these numbers must never change.
    assert rng.key(0, "order").item() == 4704504574754769321
    assert rng.bits(rng.key(3, "init", 4), 2).tolist() == [1408402993, 4235942639]


def test_keys_and_words_stay_in_range() -> None:
    keys = rng.key(torch.arange(-50_000, 50_000), "a", 3)
    assert keys.dtype == torch.int64
    assert int(keys.min()) >= 0
    words = rng.bits(keys, 3)
    assert int(words.min()) >= 0
    assert int(words.max()) < 2**32


def test_no_two_keys_of_a_million_collide() -> None:
    seeds, steps = torch.arange(100).reshape(-1, 1), torch.arange(5000)
    keys = torch.cat([rng.key(seeds, s, steps).flatten() for s in ("a", "b")])
    assert keys.unique().numel() == 1_000_000


def test_streams_are_told_apart_by_type() -> None:
    assert rng.key(0, "1") != rng.key(0, 1)


@pytest.mark.parametrize("part", ["seed", "step"])
def test_avalanche_of_seed_and_step(part: str) -> None:
    n = torch.arange(3000)
    make = {"seed": lambda v: rng.key(v, "a", 5), "step": lambda v: rng.key(5, "a", v)}[part]
    base = rng.bits(make(n), 2)
    for bit in range(48):
        flipped = as_bits(base ^ rng.bits(make(n ^ (1 << bit)), 2)).reshape(-1, 32) * 2 - 1
        assert worst_z(flipped) < LIMIT, bit


def test_avalanche_of_position() -> None:
    words = rng.bits(rng.key(3, "a"), 2**17)
    i = torch.arange(2**17)
    for bit in range(17):
        lower = i[(i >> bit) & 1 == 0]
        assert worst_z(as_bits(words[lower] ^ words[lower | (1 << bit)]) * 2 - 1) < LIMIT, bit


def test_bits_balance_and_are_independent_within_a_word() -> None:
    words = rng.bits(rng.key(1, "a"), 2**18)
    assert worst_z(as_bits(words) * 2 - 1) < LIMIT
    assert worst_correlation(words, words, skip_diagonal=True) < LIMIT


@pytest.mark.parametrize("lag", [1, 2, 3, 7, 64, 4096])
def test_no_serial_correlation(lag: int) -> None:
    words = rng.bits(rng.key(1, "b"), 2**17)
    assert worst_correlation(words[:-lag], words[lag:]) < LIMIT


@pytest.mark.parametrize("other", [(4, "z", 1), (3, "z", 2), (3, "y", 1), (2, "z", 1), (3 + 2**32, "z", 1)])
def test_neighbouring_keys_are_independent(other: tuple[int, str, int]) -> None:
    a, b = rng.bits(rng.key(3, "z", 1), 2**17), rng.bits(rng.key(*other), 2**17)
    for lag in (0, 1, 5):
        assert worst_correlation(a[: 2**17 - lag], b[lag:]) < LIMIT


@pytest.mark.parametrize("part", ["seed", "step"])
def test_words_of_consecutive_keys_are_random(part: str) -> None:
    n = torch.arange(2**17)
    words = rng.bits(rng.key(n, "a", 9) if part == "seed" else rng.key(9, "a", n), 1)[:, 0]
    counts = torch.bincount(words >> 20, minlength=4096).numpy()
    assert 1e-4 < stats.chisquare(counts).pvalue < 1 - 1e-4
    for lag in (1, 2, 256):
        assert worst_correlation(words[:-lag], words[lag:]) < LIMIT


def test_uniform_is_uniform_in_one_two_and_three_dimensions() -> None:
    u = rng.uniform(rng.key(5, "u"), (300_000, 3), torch.float64).numpy()
    assert u.min() >= 0
    assert u.max() < 1
    assert stats.kstest(u.ravel()[:100_000], "uniform").pvalue > 1e-4
    for d, cells in ((1, 1000), (2, 32), (3, 10)):
        counts, _ = np.histogramdd(u[:, :d], bins=cells, range=[(0, 1)] * d)
        assert 1e-4 < stats.chisquare(counts.ravel()).pvalue < 1 - 1e-4


def test_uniform_is_the_same_number_in_both_precisions() -> None:
    k = rng.key(5, "u")
    single, double = rng.uniform(k, (1000,)), rng.uniform(k, (1000,), torch.float64)
    assert single.dtype == torch.float32
    assert torch.equal(single.double(), double)
    with pytest.raises(TypeError, match=r"float32 or torch\.float64, not torch\.bfloat16"):
        rng.uniform(k, (2,), torch.bfloat16)


@pytest.mark.parametrize("rate", [0.0, 1e-4, 0.1, 0.5, 0.75, 1.0])
def test_bernoulli_rate(rate: float) -> None:
    n = 400_000
    for draw in (rate, torch.tensor(rate)):
        got = rng.bernoulli(rng.key(1, "m"), (n,), draw).float().mean().item()
        assert abs(got - rate) <= LIMIT * (rate * (1 - rate) / n) ** 0.5


def test_bernoulli_rate_per_key() -> None:
    keys, rates = rng.key(torch.arange(3), "m"), torch.tensor([0.0, 0.3, 1.0])
    together = rng.bernoulli(keys, (50, 40), rates)
    for i in range(3):
        assert torch.equal(together[i], rng.bernoulli(keys[i], (50, 40), rates[i]))
    assert torch.equal(rng.indicator(keys, (50, 40), rates), together.float())
    assert together[0].sum() == 0
    assert together[2].all()


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_masks_of_steps_seeds_and_layers_are_independent(rate: float) -> None:
    """A mask is paired with the next step's, the next seed's and another layer's: a 2x2 table, chi-square."""
    shape = (64, 128)
    seeds, steps = torch.arange(20).reshape(-1, 1), torch.arange(20)
    masks = rng.bernoulli(rng.key(seeds, "dropout/1", steps), shape, rate).float()
    layer = rng.bernoulli(rng.key(seeds, "dropout/2", steps), shape, rate).float()
    pairs = {
        "step": (masks[:, :-1], masks[:, 1:]),
        "seed": (masks[:-1], masks[1:]),
        "layer": (masks, layer),
        "example": (masks[..., :-1, :], masks[..., 1:, :]),
        "unit": (masks[..., :-1], masks[..., 1:]),
    }
    for name, (a, b) in pairs.items():
        both, one = ((a - rate) * (b - rate)).double(), (rate * (1 - rate)) ** 1
        assert abs(both.mean().item()) * both.numel() ** 0.5 / one < LIMIT, name
    # The number of dropped units of each mask spreads as a binomial does.
    counts = masks.sum((-1, -2)).flatten().double()
    expected = 64 * 128 * rate * (1 - rate)
    assert stats.chi2(len(counts) - 1).sf(float(counts.var() * (len(counts) - 1) / expected)) > 1e-4


def test_normal_is_normal() -> None:
    z = rng.normal(rng.key(2, "n"), (200_000,)).numpy()
    assert np.isfinite(z).all()
    assert stats.kstest(z.astype(np.float64), "norm").pvalue > 1e-4
    assert abs(z.mean()) < LIMIT / len(z) ** 0.5
    assert abs(z.var() - 1) < LIMIT * (2 / len(z)) ** 0.5


def test_permutation_is_a_permutation_and_fair() -> None:
    orders = rng.permutation(rng.key(torch.arange(24_000), "p"), 4)
    assert torch.equal(orders.sort(-1).values, torch.arange(4).expand(24_000, 4))
    _, counts = torch.unique((orders * torch.tensor([64, 16, 4, 1])).sum(-1), return_counts=True)
    assert len(counts) == 24
    assert 1e-4 < stats.chisquare(counts.numpy()).pvalue < 1 - 1e-4


@pytest.mark.parametrize("n", [0, 1, 2, 1000, 70_001])
def test_permutation_of_any_length(n: int) -> None:
    assert torch.equal(rng.permutation(rng.key(0, "p"), n).sort().values, torch.arange(n))


def test_permutations_of_successive_epochs_are_unrelated() -> None:
    orders = rng.permutation(rng.key(0, "order", torch.arange(200)), 500).double()
    r = ((orders[1:] - 249.5) * (orders[:-1] - 249.5)).mean() / orders[0].var(unbiased=False)
    assert abs(r.item()) * (199 * 500) ** 0.5 < LIMIT


@pytest.mark.parametrize("high", [1, 3, 10, 1000])
def test_integers_are_uniform(high: int) -> None:
    drawn = rng.integers(rng.key(0, "i"), (200_000,), high)
    counts = torch.bincount(drawn, minlength=high).numpy()
    assert len(counts) == high
    assert high == 1 or 1e-4 < stats.chisquare(counts).pvalue < 1 - 1e-4


def test_integers_up_to_the_limit() -> None:
    high = torch.tensor([1, 2**31])
    drawn = rng.integers(rng.key(torch.arange(2), "i"), (1000,), high)
    assert drawn[0].max() == 0
    assert 2**30 < drawn[1].max() < 2**31
    assert drawn.min() >= 0


DRAWS = {
    "uniform": lambda k: rng.uniform(k, (3, 4)),
    "bernoulli": lambda k: rng.bernoulli(k, (3, 4), 0.5),
    "indicator": lambda k: rng.indicator(k, (3, 4), 0.5),
    "normal": lambda k: rng.normal(k, (3, 4)),
    "permutation": lambda k: rng.permutation(k, 7),
    "integers": lambda k: rng.integers(k, (3,), 9),
    "scalar": lambda k: rng.uniform(k, ()),
}


@pytest.mark.parametrize("name", DRAWS)
def test_one_key_a_batch_of_keys_vmap_and_a_trace_agree(name: str) -> None:
    draw = DRAWS[name]
    keys = rng.key(torch.arange(6), "d", 3)
    one_by_one = torch.stack([draw(k) for k in keys])
    assert torch.equal(draw(keys), one_by_one)
    assert torch.equal(draw(keys.reshape(2, 3)), one_by_one.reshape(2, 3, *one_by_one.shape[1:]))
    assert torch.equal(torch.func.vmap(draw)(keys), one_by_one)
    traced = make_fx(torch.func.vmap(lambda seed, step: draw(rng.key(seed, "d", step)), in_dims=(0, None)))
    graph = traced(torch.arange(6), torch.tensor(0))
    assert torch.equal(graph(torch.arange(6), torch.tensor(3)), one_by_one)


def test_a_mask_costs_few_operations() -> None:
    graph = make_fx(lambda k, rate: rng.indicator(k, (64, 32), rate))(rng.key(0, "m"), torch.tensor(0.5))
    over_the_mask = [
        n for n in graph.graph.nodes if n.op == "call_function" and n.meta["val"].numel() == 2048
    ]
    assert len(over_the_mask) <= 24


def test_torchs_generator_is_not_touched() -> None:
    before = torch.get_rng_state()
    for draw in DRAWS.values():
        draw(rng.key(0, "d"))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.gpu
def test_the_same_bits_on_a_gpu() -> None:
    seeds = torch.arange(100)
    k, k_gpu = rng.key(seeds, "a", 3), rng.key(seeds.cuda(), "a", torch.tensor(3, device="cuda"))
    assert torch.equal(k, k_gpu.cpu())
    assert torch.equal(rng.bits(k, 1000), rng.bits(k_gpu, 1000).cpu())
    for name in ("uniform", "bernoulli", "permutation", "integers"):
        assert torch.equal(DRAWS[name](k), DRAWS[name](k_gpu).cpu())


# The compiler, when it is first imported, uses a deprecated part of torch.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_the_same_bits_compiled() -> None:
    keys, rates = rng.key(torch.arange(5), "a", 3), torch.linspace(0, 1, 5)
    compiled = torch.compile(lambda k, r: rng.bernoulli(k, (64, 32), r))
    assert torch.equal(compiled(keys, rates), rng.bernoulli(keys, (64, 32), rates))
