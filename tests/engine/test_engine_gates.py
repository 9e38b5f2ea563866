"""What a closed gate makes needless is left out of a traced step; every bit is as if it had been computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ravine.dispatch import OperationMode
from ravine.engine.traced.gates import leave_out, raise_gates
from ravine.engine.traced.passes import fold, share, write_through
from ravine.trace import trace

WIDTH, NUM = 24, 16
Program = Callable[..., tuple[Tensor, ...]]


def gated(program: Program, *inputs: Tensor) -> Callable[..., tuple[Tensor, ...]]:
    """A program as the serial backend has it."""
    graph = trace(program, [each.clone() for each in inputs])
    fold(graph, [])
    share(graph)
    raise_gates(graph)
    write_through(graph)
    leave_out(graph)
    return graph.forward


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def equal(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one, other)
        assert one.stride() == other.stride()


def residual(x: Tensor, weights: Sequence[Tensor], gates: Tensor, *, late: bool = False) -> Tensor:
    """Blocks, each with a gate: two layers with a norm and what it keeps between them."""
    for i, (first, second) in enumerate(zip(weights[::2], weights[1::2], strict=True)):
        is_open = gates[i] > 0.5
        y = torch.tanh(F.batch_norm(x @ first, None, None, training=True)) @ second
        x = x + torch.where(gates[i] > 0.5, y, 0.0) if late else torch.where(is_open, x + y, x)
    return x


def step(late: bool) -> Program:
    def program(x: Tensor, gates: Tensor, old: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        """The result, its gradients, and a mean that only an open gate moves."""
        with torch.enable_grad():
            free = [each.detach().requires_grad_() for each in (x, *weights)]
            found = residual(free[0], free[1:], gates, late=late)
            grads = torch.autograd.grad(found.square().sum(), free)
        new = torch.where(gates[0] > 0.5, old.lerp((x @ weights[0]).mean(0), 0.1), old)
        old.copy_(new)
        return (found.detach(), *grads)

    return program


def inputs_of(gates: Sequence[float]) -> list[Tensor]:
    weights = [normal(WIDTH, WIDTH, seed=i) * 0.2 for i in range(2 * len(gates))]
    return [normal(NUM, WIDTH, seed=9), torch.tensor(gates), normal(WIDTH, seed=8), *weights]


class Counting(OperationMode):
    """Counts matrix products."""

    num = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.num += func in (torch.ops.aten.mm.default, torch.ops.aten.convolution_backward.default)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("late", [False, True])
def test_gates_in_any_combination_give_the_bits_of_where(late: bool) -> None:
    program = step(late)
    run = gated(program, *inputs_of((1.0, 1.0)))
    for gates in product((0.0, 1.0), repeat=2):
        mine, theirs = inputs_of(gates), inputs_of(gates)
        with Counting() as count:
            found = run(*mine)
        equal(found, program(*theirs))
        equal(mine, theirs)  # what the step changes
        assert (
            count.num <= 6 * sum(gates) + 1
        )  # of a block two forward and four backward, and one for the mean


@pytest.mark.parametrize("poison", [torch.nan, torch.inf])
def test_behind_a_closed_gate_nothing_is_computed(poison: float) -> None:
    run = gated(step(late=False), *inputs_of((1.0, 1.0)))
    x, gates, old, *weights = inputs_of((0.0, 1.0))
    spoilt = [torch.full_like(each, poison) for each in weights[:2]]
    kept = old.clone()
    found, by_x, *by_weights = run(x, gates, old, *spoilt, *weights[2:])
    alone, by_x_alone, *others = step(late=False)(x, torch.tensor([1.0]), kept.clone(), *weights[2:])
    equal([found, by_x, *by_weights[2:], old], [alone, by_x_alone, *others, kept])
    assert not any(each.any() for each in by_weights[:2])


def test_a_branch_of_other_values_than_it_is_added_to() -> None:
    """Broadcast, of another layout, read by others too, written to in place, or of both sides of a gate."""

    def program(x: Tensor, gate: Tensor, w: Tensor) -> tuple[Tensor, ...]:
        chosen = gate[0] > 0.5
        hidden = torch.tanh(x @ w)
        seen = hidden.t()
        left = torch.where(chosen, hidden @ w, 1.0)
        right = torch.where(chosen, x[:, :1], (hidden * 2.0) @ w)
        turned = torch.where(chosen, (x @ w @ w).t(), x.t())
        own = (x @ w).mul_(2.0).clone()
        view = own.view(-1)
        own.add_(1.0)
        return left, right, turned, seen.sum(0), torch.where(chosen, view, view.flip(0)), left * hidden

    run = gated(program, normal(NUM, WIDTH), torch.ones(1), normal(WIDTH, WIDTH, seed=1))
    for gate in (0.0, 1.0):
        inputs = normal(NUM, WIDTH), torch.tensor([gate]), normal(WIDTH, WIDTH, seed=1)
        equal(run(*inputs), program(*inputs))


def test_pictures_keep_their_layout_behind_a_closed_gate() -> None:
    def program(x: Tensor, gate: Tensor, w: Tensor) -> tuple[Tensor, ...]:
        chosen = gate[0] > 0.5
        with torch.enable_grad():
            x, w = x.detach().requires_grad_(), w.detach().requires_grad_()
            y = torch.where(chosen, x + F.conv2d(F.relu(F.conv2d(x, w, padding=1)), w, padding=1), x)
            grads = torch.autograd.grad(F.conv2d(y, w).square().sum(), (x, w))
        return (y.detach(), *grads)

    x = normal(4, 8, 6, 6).contiguous(memory_format=torch.channels_last)
    w = normal(8, 8, 3, 3, seed=1).contiguous(memory_format=torch.channels_last)
    run = gated(program, x, torch.ones(1), w)
    for gate in (0.0, 1.0):
        with Counting() as count:
            found = run(x, torch.tensor([gate]), w)
        equal(found, program(x, torch.tensor([gate]), w))
        assert count.num == 1 + 2 * gate
