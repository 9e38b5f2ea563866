"""Machine code of convolutions, pooling and their gradients against PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import torch
from native_functions import agree, normal, run
from torch import Tensor
from torch.nn import functional as F

from thinning import thinned


def with_gradients(function: Callable[..., Tensor]) -> Callable[..., tuple[Tensor, ...]]:
    """A function's value and, of its product with the last argument, the gradients by all others."""

    def program(*given: Tensor) -> tuple[Tensor, ...]:
        *free, outer = [tensor.detach() for tensor in given]
        free = [tensor.requires_grad_() for tensor in free]
        value = function(*free)
        return (value.detach(), *torch.autograd.grad(value, free, outer))

    return program


def check(function: Callable[..., Tensor], *given: Tensor) -> None:
    outer = normal(*function(*given).shape, seed=9)
    # float32; the sums of a weight's gradient have thousands of terms
    agree(with_gradients(function), *given, outer, tolerance=2e-4)


CONVOLUTIONS = [
    (1, 32, 9, 3, {"padding": 1}),
    (5, 3, 8, 3, {"padding": 1}),
    (32, 17, 14, 3, {"padding": 1}),
    (16, 33, 7, 1, {}),
    (4, 6, 8, 3, {"padding": 1, "stride": 2}),
    (4, 6, 9, 3, {"stride": 2}),
    (3, 5, 10, 1, {"stride": 3}),
    (3, 4, 11, 3, {"padding": 2, "dilation": 2}),
    (3, 4, 12, 5, {"padding": (2, 1), "stride": (2, 3)}),
    (2, 4, 5, 5, {}),
    (130, 258, 6, 1, {}),
]


@pytest.mark.parametrize(("case", "bias"), thinned(product(CONVOLUTIONS, [True, False]), strength=1))
def test_convolutions(case: tuple[int, int, int, int, dict], bias: bool) -> None:
    channels, num_out, side, window, options = case
    given = [normal(3, channels, side, side + 1), normal(num_out, channels, window, window, seed=1)]
    if bias:
        given.append(normal(num_out, seed=2))
    check(lambda *args: F.conv2d(*args, **options), *given)


@pytest.mark.parametrize(
    ("channels", "window", "options"),
    [
        (5, (3, 3), {"padding": 1}),
        (32, (3, 3), {"padding": 1, "stride": 2}),
        (20, (3, 5), {"padding": (2, 1), "stride": (2, 1)}),
        (4, (3, 3), {"padding": 2, "dilation": 2}),
        (48, (1, 1), {}),
        (16, (2, 2), {"stride": 2}),
        (7, (3,), {"padding": 1}),
    ],
)
def test_convolutions_of_each_channel_alone(channels: int, window: tuple[int, ...], options: dict) -> None:
    convolve = F.conv2d if len(window) == 2 else F.conv1d
    given = [normal(3, channels, *(8, 9)[: len(window)]), normal(channels, 1, *window, seed=1)]
    given.append(normal(channels, seed=2))
    check(lambda *args: convolve(*args, groups=channels, **options), *given)


@pytest.mark.parametrize(
    ("groups", "channels", "num_out", "window", "options"),
    [
        (2, 4, 6, (3, 3), {"padding": 1}),
        (3, 6, 3, (3, 3), {"padding": 1, "stride": 2}),
        (2, 34, 40, (3, 2), {"padding": (1, 0), "stride": (1, 2)}),
        (4, 4, 12, (3, 3), {"padding": 2, "dilation": 2}),  # each channel alone, into three
        (5, 5, 10, (2,), {"stride": 2}),
        (2, 64, 64, (1, 1), {}),
        (2, 4, 4, (2, 1, 3), {"padding": (1, 0, 1)}),
    ],
)
def test_convolutions_in_groups_are_those_of_float64(
    groups: int, channels: int, num_out: int, window: tuple[int, ...], options: dict
) -> None:
    convolve = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[len(window)]
    given = [normal(3, channels, *(8, 9, 5)[: len(window)])]
    given += [normal(num_out, channels // groups, *window, seed=1), normal(num_out, seed=2)]

    def function(*args: Tensor) -> Tensor:
        return convolve(*args, groups=groups, **options)

    outer = normal(*function(*given).shape, seed=9)
    exact = with_gradients(function)(*(each.double() for each in (*given, outer)))
    for found, right in zip(run(with_gradients(function), *given, outer), exact, strict=True):
        # relative to the largest: float32, sums of up to 1,500 products
        assert (found - right).abs().max() < 3e-6 * right.abs().max()


def test_convolutions_along_a_line_and_in_space() -> None:
    check(lambda x, w: F.conv1d(x, w, padding=2), normal(3, 4, 17), normal(6, 4, 5, seed=1))
    check(
        lambda x, w: F.conv3d(x, w, stride=2, padding=1), normal(2, 3, 5, 6, 7), normal(4, 3, 3, 3, 3, seed=1)
    )


def test_a_chain_of_layers() -> None:
    """Pictures whose channels lie side by side go through everything that a network does with them."""

    def network(x: Tensor, one: Tensor, two: Tensor, scale: Tensor, shift: Tensor, last: Tensor) -> Tensor:
        h = F.max_pool2d(F.relu(F.conv2d(x, one, padding=1)), 2)
        h = F.batch_norm(F.conv2d(h, two, padding=1), None, None, scale, shift, training=True)
        h = F.relu(h + F.pad(F.avg_pool2d(x, 2), (0, 0, 0, 0, 0, 5)))
        return h.flatten(1) @ last + h.mean((-2, -1)).sum(1, keepdim=True)

    check(
        network, normal(4, 3, 8, 8), normal(6, 3, 3, 3, seed=1), normal(8, 6, 3, 3, seed=2), normal(8, seed=3),
        normal(8, seed=4), normal(128, 5, seed=5),
    )  # fmt: skip


POOLS = [
    (2, {}),
    (3, {}),
    (3, {"stride": 2}),
    (3, {"stride": 2, "padding": 1}),
    ((2, 3), {"stride": (1, 2)}),
    (2, {"stride": 3}),
    (2, {"dilation": 2}),
    (2, {"ceil_mode": True}),
]


@pytest.mark.parametrize(
    ("pool", "shape"), thinned(product(POOLS, [(2, 20, 6, 7), (2, 3, 9, 8)]), strength=1)
)
def test_max_pooling(pool: tuple[int | tuple[int, int], dict], shape: tuple[int, ...]) -> None:
    sides, options = pool
    check(lambda x: F.max_pool2d(x, sides, **options), normal(*shape))
    equal = normal(*shape).round()  # many are equal: the first one counts
    check(lambda x: F.max_pool2d(x, sides, **options), equal)


def test_the_largest_of_what_is_no_number_is_no_number() -> None:
    x = normal(1, 2, 4, 4)
    x[0, 0, 1, 1] = torch.nan
    (ours,) = run(lambda x: (F.max_pool2d(x, 2),), x)
    assert torch.equal(ours.isnan(), F.max_pool2d(x, 2).isnan())


@pytest.mark.parametrize(
    ("sides", "options"),
    [(2, {}), (3, {"stride": 2}), (3, {"stride": 1, "padding": 1}), (2, {"divisor_override": 3})],
)
def test_average_pooling(sides: int, options: dict) -> None:
    check(lambda x: F.avg_pool2d(x, sides, **options), normal(2, 5, 9, 8))


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_of_pictures(training: bool) -> None:
    mean, variance = normal(6, seed=3), normal(6, seed=4).square() + 0.5

    def norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.batch_norm(x, mean.clone(), variance.clone(), weight, bias, training=training)

    check(norm, normal(5, 6, 4, 3), normal(6, seed=1), normal(6, seed=2))


@pytest.mark.parametrize("groups", [1, 3, 6])
def test_group_norm(groups: int) -> None:
    check(
        lambda x, weight, bias: F.group_norm(x, groups, weight, bias),
        normal(5, 6, 4, 3), normal(6, seed=1), normal(6, seed=2),
    )  # fmt: skip


def test_a_convolution_s_gradient_is_taken_for_what_it_saw() -> None:
    """What is overwritten after a layer saw it is not what its gradient is taken at."""

    def program(x: Tensor, w: Tensor) -> tuple[Tensor, ...]:
        w = w.detach().requires_grad_()
        shown = x.clone()
        first = F.conv2d(shown, w)
        with torch.no_grad():
            x.mul_(2.0)
        second = F.conv2d(x, w)
        return torch.autograd.grad((first * second).sum(), [w])

    agree(program, normal(2, 3, 6, 6), normal(4, 3, 3, 3, seed=1), tolerance=2e-4)
