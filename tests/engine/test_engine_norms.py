"""Frozen norms as part of the convolutions before them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ravine.engine.norms import fold_norms
from ravine.trace import trace


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU6(),
        nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 4, 1),  # with a bias: is left as it is
        nn.BatchNorm2d(4),
    ).eval()
    for norm in net[1::3]:
        if isinstance(norm, nn.BatchNorm2d):
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


def test_gradients_are_those_of_the_network_with_norms() -> None:
    net, x = _network(), torch.randn(5, 3, 9, 9, generator=torch.Generator().manual_seed(1))
    names = [name for name, each in net.named_parameters() if each.dim() == 4]
    weights = [dict(net.named_parameters())[name].detach() for name in names]
    graph = trace(lambda x, *given: _gradients(net, x, given, names), [x, *weights])
    fold_norms(graph.graph)
    graph.recompile()
    norms = [node for node in graph.graph.nodes if "batch_norm" in str(node.target)]
    assert len(norms) == 2, "that of the convolution with a bias, forward and backward"
    exact = _gradients(deepcopy(net).double(), x.double(), [each.double() for each in weights], names)
    for found, right in zip(graph(x, *weights), exact, strict=True):
        # Sums of some hundred float32 numbers of one size.
        torch.testing.assert_close(found.double(), right, rtol=1e-5, atol=1e-6)
