"""Beta numbers without rejection, against SciPy's distribution."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from ravine import rng

NUM = 5_000


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.49, 0.5, 0.51, 0.8, 1.0, 2.0, 8.0])
def test_numbers_are_beta(alpha: float) -> None:
    words = rng.bits(rng.key(3, "beta"), NUM * rng.BETA_WORDS).reshape(NUM, -1)
    found = rng.beta(words, torch.tensor(alpha))
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    low = found[found < 0.5].double().numpy()  # near 1 float32 is coarse: a tenth of Beta(.1, .1) rounds to 1
    assert abs(len(low) / NUM - 0.5) < 0.03
    assert stats.kstest(low, lambda x: 2 * stats.beta(alpha, alpha).cdf(x)).pvalue > 1e-4


def test_words_at_positions_are_those_of_the_sequence() -> None:
    keys = rng.key(torch.arange(3), "x", 5)
    places = torch.tensor([[7, 0], [3, 3]])
    assert torch.equal(rng.bits_at(keys, places), rng.bits(keys, 8)[:, places])
