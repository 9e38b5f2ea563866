"""The products of a batch, cut out of a program: where that is possible, and that nothing else changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ravine.engine.native.cutting import cut
from ravine.tensors import Layout

LAYOUT = Layout.of({"weight": (3, 4), "bias": (3,), "last": (2, 3)})
Loss = Callable[[Tensor, dict[str, Tensor]], Tensor]


def _program(loss: Loss) -> Callable[..., tuple[Tensor, ...]]:
    """(batch, points) -> the gradients of all parameters, and the loss."""

    def program(batch: Tensor, points_1P: Tensor) -> tuple[Tensor, ...]:
        views = {name: each[0].detach().requires_grad_() for name, each in LAYOUT.views(points_1P).items()}
        found = loss(batch, views)
        grads = torch.autograd.grad(found, list(views.values()), allow_unused=True, materialize_grads=True)
        return (*(grad[None] for grad in grads), found.detach())

    return program


def _deep(x: Tensor, p: dict[str, Tensor]) -> Tensor:
    return F.linear(F.relu(F.linear(x, p["weight"], p["bias"])), p["last"]).square().sum()


CUT: dict[str, Loss] = {
    "linear": lambda x, p: F.linear(x, p["weight"], p["bias"]).exp().mean(),
    "without a bias": lambda x, p: (x @ p["weight"].t()).square().mean(),
    "the first of several layers": _deep,
}
WHOLE: dict[str, Loss] = {
    "the batch is used twice": lambda x, p: (
        F.linear(x, p["weight"]).square().mean() + x.sum() * p["bias"].sum()
    ),
    "it is changed first": lambda x, p: F.linear(x.relu(), p["weight"]).square().mean(),
    "some of it": lambda x, p: F.linear(x[:2], p["weight"]).square().mean(),
    "weights are changed first": lambda x, p: F.linear(x, p["weight"] * 2.0).square().mean(),
    "weights that are turned round": lambda x, p: (x @ p["weight"].reshape(4, 3)).square().mean(),
}


@pytest.mark.parametrize("loss", CUT.values(), ids=CUT)
def test_a_program_and_its_products_are_the_whole(loss: Loss) -> None:
    program, draw = _program(loss), torch.Generator().manual_seed(0)
    batch, points = torch.randn(5, 4, generator=draw), torch.randn(1, LAYOUT.size, generator=draw)
    found = cut(program, [batch, points], 0, 1, LAYOUT)
    assert found is not None
    assert (found.weights, found.output) == (0, 0)
    product = LAYOUT.views(points)["weight"][0] @ batch.T
    *others, slopes = found.program(batch, points, product)
    whole = program(batch, points)
    torch.testing.assert_close((slopes.T @ batch)[None], whole[0])
    for mine, right in zip(others, whole[1:], strict=True):
        torch.testing.assert_close(mine, right)


@pytest.mark.parametrize("loss", WHOLE.values(), ids=WHOLE)
def test_what_else_a_program_does_with_its_batch_leaves_it_whole(loss: Loss) -> None:
    batch, points = torch.randn(5, 4), torch.randn(1, LAYOUT.size)
    assert cut(_program(loss), [batch, points], 0, 1, LAYOUT) is None
