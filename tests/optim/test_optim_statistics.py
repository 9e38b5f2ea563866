"""`estimate_batchnorm`: against sums over all examples in float64, and what must stay as it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ravine.errors import InputError
from ravine.optim import SGD, estimate_batchnorm


def model_of() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 6), nn.BatchNorm1d(6),
        nn.Linear(6, 2),
    )  # fmt: skip


def examples(num: int = 103) -> torch.Tensor:
    return torch.randn(num, 4, generator=torch.Generator().manual_seed(1)) * 3 + 1


def right(model: nn.Sequential, x: torch.Tensor, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Mean and variance of what both norms see, in float64, each batch normalized by itself and nothing dropped."""
    layers = {name: value.double().numpy() for name, value in model.state_dict().items()}
    seen: list[list[np.ndarray]] = [[], []]
    for batch in x.double().numpy()[: len(x) // size * size].reshape(-1, size, 4):
        h = batch @ layers["0.weight"].T + layers["0.bias"]
        seen[0].append(h)
        h = (h - h.mean(0)) / np.sqrt(h.var(0) + 1e-5) * layers["1.weight"] + layers["1.bias"]
        seen[1].append(np.maximum(h, 0) @ layers["4.weight"].T + layers["4.bias"])
    return [(np.concatenate(each).mean(0), np.concatenate(each).var(0)) for each in seen]


@pytest.mark.parametrize("size", [2, 10, 50])
def test_mean_and_biased_variance_are_those_of_all_examples(size: int) -> None:
    model, x = model_of(), examples(100)
    estimate_batchnorm(model, DataLoader(TensorDataset(x, torch.zeros(100)), size))
    for norm, (mean, variance) in zip((model[1], model[5]), right(model, x, size), strict=True):
        np.testing.assert_allclose(norm.running_mean, mean, rtol=2e-5, atol=2e-6)
        np.testing.assert_allclose(norm.running_var, variance, rtol=2e-5)


def test_nothing_else_changes_and_modes_come_back() -> None:
    model = model_of()
    model[5].eval()  # frozen
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [each.training for each in model.modules()]
    state = torch.get_rng_state()
    estimate_batchnorm(model, examples().split(10))  # the last batch has 3 examples
    assert [each.training for each in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)  # nothing was dropped
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"1.running_mean", "1.running_var"}
    assert model[1].track_running_stats
    whole = (model[0](examples())).detach().double().numpy()
    np.testing.assert_allclose(model[1].running_var, whole.var(0), rtol=1e-5)


def test_a_single_example_joins_the_batch_before_it() -> None:
    found = []
    for batches in (examples(21).split(10), [*examples(21).split([10, 11])]):
        model = model_of()
        estimate_batchnorm(model, batches)
        found.append(model.state_dict())
    for name, value in found[0].items():
        torch.testing.assert_close(value, found[1][name])


def test_pictures_and_short_floats() -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3)).bfloat16(), torch.rand(40, 1, 6, 6)
    estimate_batchnorm(model, x.bfloat16().split(16))
    seen = model[0](x.bfloat16()).detach().double().numpy()
    np.testing.assert_allclose(model[1].running_mean.double(), seen.mean((0, 2, 3)), rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(model[1].running_var.double(), seen.var((0, 2, 3)), rtol=1e-2)


def test_under_deployed_the_statistics_are_those_of_the_average() -> None:
    model, x = model_of(), examples(100)
    optimizer = SGD(model.parameters(), lr=0.1, ema=0.9)
    for _ in range(5):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    with optimizer.deployed():
        estimate_batchnorm(model, x.split(50))
        [(mean, variance), _] = right(model, x, 50)
        np.testing.assert_allclose(model[1].running_mean, mean, rtol=2e-5, atol=2e-6)
        np.testing.assert_allclose(model[1].running_var, variance, rtol=2e-5)


def test_mistakes_are_one_line_and_nothing_is_to_be_done_without_norms() -> None:
    with pytest.raises(InputError, match=r"^model: 2 BatchNorm layers, such as '1', all in evaluation mode"):
        estimate_batchnorm(model_of().eval(), [examples()])
    with pytest.raises(InputError, match=r"^batches: 0 examples; at least 2 are needed"):
        estimate_batchnorm(model_of(), [])
    with pytest.raises(InputError, match=r"^batches: batch 0 is dict; a tensor"):
        estimate_batchnorm(model_of(), [{"x": examples()}])
    estimate_batchnorm(nn.Linear(4, 2), [])
    model = model_of()
    with pytest.raises(InputError, match="at least 2"):
        estimate_batchnorm(model, [examples(1)])
    assert all(each.training for each in model.modules())
    assert model[1].track_running_stats
