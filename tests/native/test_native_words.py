"""Machine code draws the very words that PyTorch does, though it has 32 bits for each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from native_functions import run
from torch import Tensor

from ravine import rng

KEYS = [rng.key(seed, "some") for seed in (0, 7, -(2**63))] + [torch.tensor(0), torch.tensor(2**63 - 1)]
RATES = torch.tensor([0.0, 2.0**-32, 0.3, 1 - 2.0**-24, 1.0])
NUM = 1003


def halves(words: Tensor) -> tuple[Tensor, Tensor]:
    """The bits of integers as numbers that float32 knows exactly."""
    return (words & 0xFFFF).to(torch.float32), ((words >> 16) & 0xFFFFFF).to(torch.float32)


DRAWS: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, ...]]] = {
    "words": lambda key, _: halves(rng.bits(key, NUM)),
    "uniform": lambda key, _: (rng.uniform(key, (NUM,)),),
    "indicator": lambda key, rates: tuple(rng.indicator(key, (NUM,), rates[i]) for i in range(5)),
    "bernoulli": lambda key, rates: tuple(
        torch.where(rng.bernoulli(key, (NUM,), rates[i]), 1.0, -1.0) for i in range(5)
    ),
    "integers": lambda key, _: (rng.integers(key, (NUM,), 37).to(torch.float32),),
    "other words": lambda key, _: halves(_changed(rng.bits(key, NUM))),
    "below a number": lambda key, _: (
        *(torch.where(rng.bits(key, NUM) < bound, 1.0, 0.0) for bound in (-1, 0, 2**31, 2**32 - 1, 2**32)),
        torch.where(rng.bits(key, NUM) > 2**31, 1.0, 0.0),
    ),
}


def _changed(words: Tensor) -> Tensor:
    """Words that no longer are: written to in place, shifted out of their bits, negative."""
    words = words.clone()
    words[::3] += 2**35
    words[1::3] -= 2**34
    return ((words >> 5) ^ (words << 7)) + (words * 3 & 0xFFF)


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_draws_have_the_bits_of_pytorch(name: str, key: Tensor) -> None:
    for mine, other in zip(
        run(DRAWS[name], key.clone(), RATES), DRAWS[name](key.clone(), RATES), strict=True
    ):
        assert torch.equal(mine.view(torch.int32), other.view(torch.int32))
