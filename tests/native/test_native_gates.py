"""Work behind a closed gate is left out: numbers that would spoil all that they touch are never read."""

from __future__ import annotations

import pytest
import torch
from native_functions import agree, normal, run
from torch import Tensor
from torch.nn import functional as F

from ravine.native.gates import guards
from ravine.native.tensors import Tensors

WIDTH, NUM = 24, 16


def residual(x: Tensor, weights: list[Tensor], gates: Tensor) -> Tensor:
    """Blocks, each with a gate: two layers with a norm between them."""
    for i, (first, second) in enumerate(zip(weights[::2], weights[1::2], strict=True)):
        y = F.batch_norm(x @ first, None, None, training=True)
        x = x + torch.where(gates[i] > 0.5, torch.tanh(y) @ second, 0.0)
    return x


def step(x: Tensor, gates: Tensor, old: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
    """The result, its gradients, and a mean that only an open gate moves; all gates are brought to memory first."""
    open_ = gates * 1.0
    with torch.enable_grad():
        free = [each.detach().requires_grad_() for each in (x, *weights)]
        found = residual(free[0], free[1:], open_)
        grads = torch.autograd.grad(found.square().sum(), free)
    new = torch.where(open_[0] > 0.5, old.lerp((x @ weights[0]).mean(0), 0.1), old)
    return (found.detach(), new, *grads)


def weights_of(num: int) -> list[Tensor]:
    return [normal(WIDTH, WIDTH, seed=i) * 0.2 for i in range(2 * num)]


@pytest.mark.parametrize("gates", [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
def test_gates_in_any_combination_give_what_pytorch_gives(gates: tuple[float, float]) -> None:
    agree(step, normal(NUM, WIDTH, seed=9), torch.tensor(gates), normal(WIDTH, seed=8), *weights_of(2))


def test_behind_a_closed_gate_nothing_is_computed() -> None:
    x, old, weights = normal(NUM, WIDTH, seed=9), normal(WIDTH, seed=8), weights_of(2)
    spoilt = [torch.full_like(each, torch.nan) for each in weights[:2]]
    found, new, by_x, *by_weights = run(step, x, torch.tensor([0.0, 1.0]), old, *spoilt, *weights[2:])
    alone, _, by_x_alone, *others = run(step, x, torch.tensor([1.0]), old, *weights[2:])
    assert torch.equal(new, old)
    torch.testing.assert_close(found, alone)
    torch.testing.assert_close(by_x, by_x_alone)
    assert all(not each.any() for each in by_weights[:2])
    torch.testing.assert_close(by_weights[2], others[0])


def test_what_is_read_elsewhere_too_is_computed_all_the_same() -> None:
    def program(x: Tensor, gate: Tensor, w: Tensor) -> tuple[Tensor, ...]:
        hidden, chosen = torch.tanh(x @ w), gate[0] > 0.5
        kept = torch.where(chosen, hidden @ w, 1.0)
        return kept, torch.where(chosen, 0.0, hidden @ w.t()), hidden.sum(0), kept * hidden

    for gate in (0.0, 1.0):
        agree(program, normal(NUM, WIDTH), torch.tensor([gate]), normal(WIDTH, WIDTH, seed=1))


def test_a_program_without_gates_has_no_guards() -> None:
    tensors = Tensors()
    assert guards(tensors.schedule.works) == []
