"""Rows of a table: noise and swapped cells."""

from __future__ import annotations

import torch
from augmenting import batch
from scipy import stats


def table(num: int = 500, width: int = 6) -> torch.Tensor:
    return torch.arange(num * width, dtype=torch.float32).reshape(num, width)


def test_noise_is_gaussian_of_the_strength_and_scaled_by_it() -> None:
    x = table() * 0
    low, high = (batch(x, range(500), noise=strength)[0] for strength in (0.1, 0.2))
    assert stats.kstest((low / 0.1).flatten().numpy(), "norm").pvalue > 1e-4
    assert torch.allclose(high, 2 * low)
    assert torch.equal(batch(x, [7, 3], noise=0.1)[0], low[[7, 3]])


def test_a_dropped_cell_has_its_columns_value_of_another_row() -> None:
    x = table()
    low, high = (batch(x, range(500), cell_dropout=rate)[0] for rate in (0.1, 0.3))
    assert torch.equal(low % 6, x % 6)  # each number tells its column
    changed = [found != x for found in (low, high)]
    assert 0.08 < float(changed[0].float().mean()) < 0.12
    assert bool((changed[0] <= changed[1]).all())
    donors = ((low[changed[0]] // 6).long(), (x[changed[0]] // 6).long())
    assert len(torch.unique(donors[0])) > 150
    assert torch.equal(batch(x, [499, 3], cell_dropout=0.3)[0], high[[499, 3]])


def test_nothing_is_changed_at_0() -> None:
    x = table()
    x[0] = torch.tensor([float("inf"), float("nan"), -0.0, 0.0, 1.0, -1.0])
    found = batch(x, range(500), noise=0.0, cell_dropout=0.0, mixup=0.0)[0]
    assert torch.equal(found.view(torch.int32), x.view(torch.int32))
