"""Passes over a traced graph: the same bits, for less."""

from __future__ import annotations

import torch
from torch import Tensor, fx

from ravine.engine.traced.passes import fold, share, write_through
from ravine.trace import trace


def adam_like(
    params: Tensor, mean: Tensor, squares: Tensor, beta: Tensor, grad: Tensor
) -> tuple[Tensor, ...]:
    """A step with state, constants, views, and old values that are still wanted after the new ones are there."""
    row = params[1:3]
    old = mean * 2.0
    new_mean = mean.lerp(grad, 1.0 - beta)
    new_squares = squares.lerp(grad.square(), (1.0 - beta).log().exp())
    step = new_mean / (new_squares.sqrt() + 1e-7)
    scaled = (step * step).sum() * step + old
    row.add_(-0.1 * (scaled + scaled.mT.mT)[:2])
    mean.copy_(new_mean)
    squares.copy_(new_squares)
    return scaled.mean(), row.sum()


def inputs() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)

    def draw() -> Tensor:
        return torch.rand(4, 6, generator=generator)

    return [draw(), draw(), draw(), torch.full((4, 1), 0.9), draw()]


def both() -> tuple[fx.GraphModule, list[Tensor], fx.GraphModule, list[Tensor]]:
    """A traced step as it is, one with the passes, and inputs for each."""
    plain_inputs, inputs_ = inputs(), inputs()
    plain, optimized = trace(adam_like, inputs()), trace(adam_like, inputs())
    fold(optimized, inputs_[:4])
    share(optimized)
    write_through(optimized)
    return plain, plain_inputs, optimized, inputs_


def test_the_bits_are_the_same_over_many_steps() -> None:
    plain, plain_inputs, optimized, inputs_ = both()
    for step in range(5):
        grad = torch.full((4, 6), 0.1 * step).cos()
        expected = plain(*plain_inputs[:4], grad)
        found = optimized(*inputs_[:4], grad)
        assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
        assert all(torch.equal(a, b) for a, b in zip(plain_inputs, inputs_, strict=True))


def test_the_inputs_that_a_step_only_reads_stay_as_they_are() -> None:
    _, _, optimized, inputs_ = both()
    beta, grad = inputs_[3].clone(), inputs_[4].clone()
    optimized(*inputs_)
    assert torch.equal(inputs_[3], beta)
    assert torch.equal(inputs_[4], grad)


def test_a_state_that_is_read_after_its_successor_keeps_its_old_value_until_then() -> None:
    def function(state: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
        new = state + grad
        read_late = state * 3.0
        state.copy_(new)
        return (read_late,)

    state = torch.ones(3)
    module = trace(function, [torch.ones(3), torch.ones(3)])
    fold(module, [state])
    write_through(module)
    assert module(state, torch.ones(3))[0].tolist() == [3.0] * 3
    assert state.tolist() == [2.0] * 3


def test_an_argument_that_shows_up_in_another_shape_is_not_written_over() -> None:
    def function(x: Tensor) -> tuple[Tensor, ...]:
        y = x + 1.0
        return (y + y.mT,)

    module = trace(function, [torch.zeros(3, 3)])
    write_through(module)
    x = torch.arange(9.0).reshape(3, 3)
    assert torch.equal(module(x)[0], (x + 1) + (x + 1).mT)


def test_a_constant_is_not_written_over() -> None:
    def function(hyper: Tensor, x: Tensor) -> tuple[Tensor, ...]:
        return (x * (1.0 - hyper),)

    hyper = torch.full((4, 1), 0.25)
    module = trace(function, [hyper, torch.ones(4, 1)])
    fold(module, [hyper])
    write_through(module)
    for _ in range(2):
        assert module(hyper, torch.ones(4, 1))[0].tolist() == [[0.75]] * 4


def test_a_result_is_written_over_through_a_view_of_all_of_it() -> None:
    def function(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        product = torch.bmm(x, y)
        return (torch.tanh(product.view(2, 9) + 1.0),)

    x, y = torch.randn(2, 3, 3), torch.randn(2, 3, 3)
    module = trace(function, [x, y])
    write_through(module)
    assert torch.equal(module(x, y)[0], torch.tanh(torch.bmm(x, y).view(2, 9) + 1.0))


def test_a_transposed_product_is_computed_the_other_way_round() -> None:
    def function(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        return (torch.bmm(x.mT, y).view(3, 16, 32).transpose(1, 2) * 2.0,)

    x, y = torch.randn(3, 8, 16), torch.randn(3, 8, 32)
    module = trace(function, [x, y])
    expected = module(x, y)[0].clone()
    write_through(module)
    found = module(x, y)[0]
    assert torch.equal(found, expected)
    assert found.is_contiguous()


def test_what_is_there_twice_is_computed_once_unless_its_argument_has_changed_in_between() -> None:
    def function(state: Tensor, x: Tensor) -> tuple[Tensor, ...]:
        before = (x * 2.0).sum() + (x * 2.0).mean() + state.exp()
        state.add_(x)
        one, other = x.clone(), x.clone()
        one.mul_(3.0)
        return before, state.exp() + state.exp(), one + other

    plain_state, state, x = torch.rand(6), torch.rand(6), torch.rand(6)
    plain_state.copy_(state)
    module = trace(function, [state.clone(), x])
    share(module)
    write_through(module)
    for ours, theirs in zip(module(state, x), function(plain_state, x), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(state, plain_state)


def test_a_change_to_one_of_several_results_is_seen() -> None:
    def function(x: Tensor, mean: Tensor, var: Tensor) -> tuple[Tensor, ...]:
        largest, again = x.max(1).values.add_(1.0), x.max(1).values
        doubled, before = x * 2.0, x * 2.0
        before_exp = doubled.exp()
        doubled.chunk(2, 1)[0].add_(1.0)
        after_exp = doubled.exp()
        part, _ = before.split([1, 5], 1)
        over = before.sin()  # not over `before`: a part of it is read below
        norm = torch.nn.functional.batch_norm
        normal = norm(x, mean, var, training=True) + norm(x, mean, var, training=True)
        return largest, again * 1.0, before_exp, after_exp, over, part * 1.0, normal

    def inputs() -> list[Tensor]:
        x = torch.rand(4, 6, generator=torch.Generator().manual_seed(0))
        return [x, torch.zeros(6), torch.ones(6)]

    module, given, plain = trace(function, inputs()), inputs(), inputs()
    share(module)
    write_through(module)
    for ours, theirs in zip(module(*given), function(*plain), strict=True):
        assert torch.equal(ours, theirs)
    assert all(
        torch.equal(ours, theirs) for ours, theirs in zip(given, plain, strict=True)
    )  # statistics, twice


def test_a_few_places_of_a_state_are_changed_where_they_are() -> None:
    def placed(ring: Tensor, rows: Tensor, new: Tensor) -> Tensor:
        return ring.flatten(0, 1).index_copy(0, rows, new).view(ring.shape)

    def function(ring: Tensor, rows: Tensor, new: Tensor) -> tuple[Tensor, ...]:
        found = placed(ring, rows, new)
        total = (found * 2.0).sum(0)
        ring.copy_(found)
        return (total,)

    def too_early(ring: Tensor, rows: Tensor, new: Tensor) -> tuple[Tensor, ...]:
        found = placed(ring, rows, new)
        old = ring.sum(0)
        ring.copy_(found)
        return (old,)

    rows, new = torch.tensor([1, 5]), torch.rand(2, 4)
    for step in (function, too_early):
        ring = torch.rand(2, 3, 4)
        expected = ring.clone()
        module = trace(step, [ring.clone(), rows, new])
        write_through(module)
        assert torch.equal(module(ring, rows, new)[0], step(expected, rows, new)[0])
        assert torch.equal(ring, expected)


def small_step(x: Tensor, kernel: Tensor, scale: Tensor, shift: Tensor, up: Tensor) -> tuple[Tensor, ...]:
    """Convolution, norm and ReLU6, and their gradients, with channels last."""
    aten = torch.ops.aten
    z = aten.convolution(x, kernel, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1)
    n, mean, deviation = aten.native_batch_norm(z, scale, shift, None, None, True, 0.1, 1e-5)
    y = aten.hardtanh(n, 0.0, 6.0)
    grad = aten.hardtanh_backward(up * y, n, 0.0, 6.0)
    grad, _, _ = aten.native_batch_norm_backward(
        grad, z, scale, None, None, mean, deviation, True, 1e-5, [True, True, True]
    )
    back, of_kernel, _ = aten.convolution_backward(
        grad, x, kernel, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, True, False]
    )
    slope = aten.hardtanh_backward(back, x, -1.0, 1.0)
    return slope, of_kernel, aten.select_backward(of_kernel, [1, *of_kernel.shape], 0, 0), y


def test_activations_with_channels_last_are_written_over_what_they_are_made_of() -> None:
    draw = torch.Generator().manual_seed(0)

    def given() -> list[Tensor]:
        x, up = (torch.randn(2, 4, 5, 5, generator=draw.manual_seed(i)) for i in (1, 2))
        kernel = torch.randn(4, 4, 3, 3, generator=draw)
        x, up, kernel = (each.contiguous(memory_format=torch.channels_last) for each in (x, up, kernel))
        return [x, kernel, torch.ones(4) * 5.0, torch.ones(4), up]

    module, inputs_ = trace(small_step, given()), given()
    write_through(module)
    called = [str(node.target) for node in module.graph.nodes]
    assert called.count("aten.hardtanh.out") == 1
    assert called.count("aten.hardtanh_backward.grad_input") == 2
    assert "aten.select_backward.default" not in called
    for found, expected in zip(module(*inputs_), small_step(*given()), strict=True):
        assert torch.equal(found, expected)
    assert all(torch.equal(a, b) for a, b in zip(inputs_, given(), strict=True))


def test_hardtanh_has_its_slopes_whatever_it_is_given() -> None:
    def function(x: Tensor, up: Tensor) -> tuple[Tensor, ...]:
        of_x = x + 0.0
        y = torch.ops.aten.hardtanh(of_x, -1.0, 2.0)
        return y, torch.ops.aten.hardtanh_backward(up, of_x, -1.0, 2.0)

    odd = [-torch.inf, -1.5, -1.0, -0.0, 0.0, 1.9999999, 2.0, 3.0, torch.inf, torch.nan]
    x, up = torch.tensor(odd), torch.ones(len(odd))
    module = trace(function, [x, up])
    write_through(module)
    assert any(str(node.target) == "aten.hardtanh.out" for node in module.graph.nodes)
    for found, expected in zip(module(x, up), function(x, up), strict=True):
        assert torch.equal(found.view(torch.int32), expected.view(torch.int32))  # not a number too


def test_an_argument_that_other_limits_read_is_kept() -> None:
    def function(x: Tensor, up: Tensor) -> tuple[Tensor, ...]:
        of_x = x * 2.0
        y = torch.ops.aten.hardtanh(of_x, -1.0, 1.0)
        return y, torch.ops.aten.hardtanh_backward(up, of_x, -1.5, 1.0)

    x, up = torch.linspace(-2, 2, 9), torch.ones(9)
    module = trace(function, [x, up])
    write_through(module)
    assert all(torch.equal(a, b) for a, b in zip(module(x, up), function(x, up), strict=True))


def test_of_several_results_each_is_written_over_when_it_is_read_for_the_last_time() -> None:
    def function(x: Tensor) -> tuple[Tensor, ...]:
        values, places = (x + 1.0).max(1)
        doubled = values * 2.0
        low, high = x.exp().chunk(2, 1)  # views of one memory
        kept = low + 1.0
        return doubled, places * 2, kept, high * 2.0

    x = torch.rand(4, 6, generator=torch.Generator().manual_seed(0))
    module = trace(function, [x])
    write_through(module)
    over = [str(node.target) for node in module.graph.nodes if node.meta.get("over_argument")]
    assert over == ["aten.mul.out", "aten.mul.out"], "values and places"
    assert all(torch.equal(a, b) for a, b in zip(module(x), function(x), strict=True))
