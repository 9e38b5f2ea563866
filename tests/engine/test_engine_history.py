"""Sums over steps: the same however the steps come in, and equal to the plain mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ravine.engine.history import History

STEPS, RUNS = 10_000, 3


def values() -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    return torch.rand(STEPS, RUNS, generator=draws), torch.rand(STEPS, RUNS, generator=draws)


def read(parts: list[int], *, restart: bool = False) -> tuple[np.ndarray, ...]:
    losses, accuracies = values()
    losses[7_001, 1] = torch.nan
    losses[9_000, 1] = torch.inf
    history, step = History(RUNS), 0
    for part in parts:
        history.add(losses[step : step + part], accuracies[step : step + part])
        step += part
        if restart:
            again = History(RUNS)
            again.load({name: array.copy() for name, array in history.arrays().items()})
            history = again
    assert step == STEPS == history.num_steps
    return history.read()


def test_means_are_those_of_all_steps() -> None:
    losses, accuracies = values()
    mean_loss, mean_accuracy, bad = read([STEPS])
    np.testing.assert_allclose(mean_loss[[0, 2]], losses.double().mean(0)[[0, 2]], rtol=1e-13)
    np.testing.assert_allclose(mean_accuracy, accuracies.double().mean(0), rtol=1e-13)
    assert bad.tolist() == [-1, 7_001, -1]


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("parts", [[1] * STEPS, [4096, 4096, 1808], [4095, 2, 5903], [9_999, 1]])
def test_bits_do_not_depend_on_how_steps_came_in(parts: list[int], restart: bool) -> None:
    if restart and len(parts) > 100:
        parts = [100] * 100
    for got, want in zip(read(parts, restart=restart), read([STEPS]), strict=True):
        assert got.tobytes() == want.tobytes()


def test_memory_does_not_grow_with_the_steps() -> None:
    history = History(RUNS)
    for _ in range(100):
        history.add(torch.ones(1000, RUNS), torch.ones(1000, RUNS))
    assert sum(array.nbytes for array in history.arrays().values()) < 2 * 4 * 4096 * RUNS + 1000
