"""Features are those of the network as it is, whatever is done to compute them faster."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ravine.data import Examples
from ravine.features.extract import batch_size, extract
from ravine.features.fold import folded
from small_backbone import Small, small_body

CPU = torch.device("cpu")
PICTURES = np.random.default_rng(0).normal(size=(150, 3, 8, 9)).astype(np.float32)


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def examples(x: np.ndarray) -> Examples:
    return Examples(x=x, y=np.zeros(len(x), np.int64))


def features(body: nn.Module, x: np.ndarray) -> np.ndarray:
    network, _ = folded(body, (64, *x.shape[1:]))
    return np.concatenate([found for _, found in extract(network, examples(x), CPU)])


def test_a_folded_network_computes_the_same_in_fewer_operations() -> None:
    body = small_body()
    fast, is_folded = folded(body, (64, 3, 8, 9))
    assert is_folded
    x = torch.from_numpy(PICTURES[:64])
    with torch.inference_mode():
        right = body(x)
        torch.testing.assert_close(fast(x), right, rtol=1e-5, atol=1e-5)
    code = fast.__closure__[0].cell_contents.code  # type: ignore[index]
    assert "batch_norm" not in code
    assert "constant_pad" not in code
    assert "hardtanh" not in code.replace("'hardtanh'", "")
    assert code.count("torch.ops.mkldnn._convolution_pointwise") == 4


def test_features_are_those_of_the_network_on_any_number_of_threads(threads: int) -> None:
    body = small_body()
    parts = list(extract(folded(body, (64, 3, 8, 9))[0], examples(PICTURES), CPU))
    assert [(part.start, part.stop) for part, _ in parts] == [(0, 64), (64, 128), (128, 150)]
    found = np.concatenate([found for _, found in parts])
    with torch.no_grad():
        np.testing.assert_allclose(found, body(torch.from_numpy(PICTURES)).numpy(), rtol=1e-5, atol=1e-5)
    assert torch.get_num_threads() == threads
    torch.set_num_threads(1)
    assert features(body, PICTURES).tobytes() == found.tobytes()


def test_bits_depend_neither_on_the_batch_nor_on_its_other_examples() -> None:
    body = small_body()
    whole = features(body, PICTURES)
    for some in ([0], [149], [3, 70, 149], list(range(149, -1, -1))):
        assert features(body, PICTURES[some]).tobytes() == whole[some].tobytes()


def test_large_pictures_come_in_smaller_batches_and_no_examples_in_none() -> None:
    assert [batch_size((3, side, side)) for side in (32, 128, 129, 600, 4096)] == [64, 64, 32, 2, 1]
    assert list(extract(small_body(), examples(PICTURES[:0]), CPU)) == []


class Odd(nn.Module):
    """Its result depends on what it is given, in a way that no trace follows."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        return y if float(x.sum()) > 0 else -y


class Varying(Small):
    """A convolution whose kernel is no constant."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, self.stem.weight * 2, self.stem.bias).mean((2, 3))


def test_what_cannot_be_traced_or_folded_runs_as_it_is() -> None:
    x = np.random.default_rng(1).normal(size=(70, 4)).astype(np.float32)
    odd = Odd().eval()
    assert not folded(odd, (64, 4))[1]
    assert np.isfinite(features(odd, x)).all()
    varying = Varying().eval()
    with torch.no_grad():
        right = varying(torch.from_numpy(PICTURES)).numpy()
    np.testing.assert_allclose(features(varying, PICTURES), right, rtol=1e-5, atol=1e-6)
