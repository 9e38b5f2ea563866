"""Frozen norms as part of the convolutions before them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from ravine.engine.norms import fold_norms
from ravine.trace import trace


def _network(*layers: nn.Module) -> nn.Sequential:
    """With frozen norms as after training."""
    torch.manual_seed(0)
    net = nn.Sequential(*layers).eval()
    for norm in net:
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            norm.requires_grad_(False)
    for name, tensor in net.state_dict().items():
        if "running" in name or tensor.dim() == 1:
            nn.init.uniform_(tensor, 0.5, 2.0)
    return net


def _gradients(
    net: nn.Module, x: Tensor, given: Sequence[Tensor], names: Sequence[str]
) -> tuple[Tensor, ...]:
    params = {name: each.detach().requires_grad_() for name, each in zip(names, given, strict=True)}
    loss = functional_call(net, params, (x,)).square().mean()
    return (loss.detach(), *torch.autograd.grad(loss, list(params.values())))


def _num_left(net: nn.Sequential, x: Tensor) -> int:
    """How many operations of norms there are, where gradients are right."""
    names = [name for name, each in net.named_parameters() if each.dim() > 1]
    weights = [dict(net.named_parameters())[name].detach() for name in names]
    graph = trace(lambda x, *given: _gradients(net, x, given, names), [x, *weights])
    fold_norms(graph.graph)
    graph.recompile()
    exact = _gradients(deepcopy(net).double(), x.double(), [each.double() for each in weights], names)
    for found, right in zip(graph(x, *weights), exact, strict=True):
        # Sums of some hundred float32 numbers of one size.
        torch.testing.assert_close(found.double(), right, rtol=1e-5, atol=1e-6)
    return sum("batch_norm" in str(node.target) for node in graph.graph.nodes)


def test_gradients_are_those_of_the_network_with_norms() -> None:
    net = _network(
        nn.Conv2d(3, 8, 3, 2, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU6(),
        nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 4, 1),  # with a bias: is left as it is
        nn.BatchNorm2d(4),
    )
    x = torch.randn(5, 3, 9, 9, generator=torch.Generator().manual_seed(1))
    assert _num_left(net, x) == 2, "that of the convolution with a bias, forward and backward"


@pytest.mark.parametrize(
    ("convolution", "norm", "size"),
    [(nn.Conv1d, nn.BatchNorm1d, (9,)), (nn.Conv3d, nn.BatchNorm3d, (4, 4, 4))],
)
def test_kernels_have_any_number_of_dimensions(
    convolution: type[nn.Module], norm: type[nn.Module], size: tuple[int, ...]
) -> None:
    """With as many channels before as after: a factor of the wrong ones would go unnoticed."""
    net = _network(convolution(4, 4, 3, bias=False), norm(4), nn.ReLU())
    assert _num_left(net, torch.randn(5, 4, *size, generator=torch.Generator().manual_seed(1))) == 0
