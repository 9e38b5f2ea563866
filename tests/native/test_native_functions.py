"""Machine code against PyTorch, operation by operation, and its functions against float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from native_functions import agree, normal, run
from torch import Tensor
from torch.nn import functional as F

from ravine.native.compiler import Compiler, rows_of
from ravine.native.tensors import Unsupported
from ravine.native.workers import Jobs, Workers


@pytest.mark.parametrize(
    ("rows", "columns", "inner"),
    [
        (64, 32, 64),
        (13, 7, 5),
        (64, 10, 32),
        (1, 1, 1),
        (5, 33, 17),
        (70, 47, 33),
        (3, 100, 40),
        (300, 260, 263),
    ],
)
def test_products_in_every_layout(rows: int, columns: int, inner: int) -> None:
    agree(lambda a, b: (a @ b, (a @ b).t()), normal(rows, inner), normal(inner, columns, seed=1))
    agree(lambda a, b: (a @ b.t(),), normal(rows, inner), normal(columns, inner, seed=1))
    agree(lambda a, b: (a.t() @ b,), normal(inner, rows), normal(inner, columns, seed=1))


def test_a_row_of_a_large_product_has_the_bits_of_a_small_one() -> None:
    a, b = normal(40, 600), normal(600, 300, seed=1)
    (whole,) = run(lambda a, b: (a @ b,), a, b)  # in parts, of packed columns
    for few in (1, 5):
        (some,) = run(lambda a, b: (a @ b,), a[:few].clone(), b)
        assert torch.equal(whole[:few], some)
    (turned,) = run(lambda a, b: (a.t() @ b,), a.t().contiguous(), b)
    assert torch.equal(whole, turned)


@pytest.mark.parametrize(
    ("rows", "inner", "columns"),
    [
        (45, 515, 140),  # rows far apart, put side by side
        (256, 1030, 64),  # a deep product of few columns
        (300, 1027, 130),  # deep, of far rows
    ],
)
def test_large_products_are_those_of_float64_in_the_order_of_one_row(
    rows: int, inner: int, columns: int
) -> None:
    a, b = normal(rows, inner), normal(inner, columns, seed=1)
    exact = a.double() @ b.double()
    layouts = [
        run(lambda a, b: (a @ b,), a, b),
        run(lambda a, b: (a.t() @ b,), a.t().contiguous(), b),
        run(lambda a, b: (a @ b.t(),), a, b.t().contiguous()),
    ]
    (row,) = run(lambda a, b: (a @ b,), a[-1:].clone(), b)
    for (found,) in layouts:
        # Each number is a sum of about a thousand products, rounded to float32 as many times.
        torch.testing.assert_close(found.double(), exact, rtol=0, atol=2e-4)
        assert torch.equal(found[-1:], row)


def test_stacks_of_products() -> None:
    agree(lambda a, b: (a @ b, a @ b.mT.mT), normal(3, 5, 7), normal(3, 7, 9, seed=1))


@pytest.mark.parametrize("shape", [(5, 7), (64, 32), (3, 1), (1, 33)])
def test_sums(shape: tuple[int, int]) -> None:
    agree(
        lambda a: (a.sum(0), a.sum(1, keepdim=True), a.amax(1), a.amax(0), a.mean(), a.logsumexp(1)),
        normal(*shape),
    )


@pytest.mark.parametrize(
    "shape", [(2000, 3), (2000, 1), (1, 2000), (3, 2000), (40, 1, 50), (1, 2000, 1), (20, 30, 4)]
)
def test_sums_of_many_numbers_over_all_dimensions(shape: tuple[int, ...]) -> None:
    agree(lambda a: ((a * 0.01).sum(), (a * 0.01).sum(list(range(a.dim())), keepdim=True)), normal(*shape))


def test_repetition_and_views() -> None:
    agree(
        lambda a, b: (a + b.t(), a * 2 - b.sum(0)[:, None], a.t().reshape(-1) + 1),
        normal(5, 7),
        normal(7, 5, seed=1),
    )
    agree(
        lambda a: (torch.cat([a, a * 2], 1), torch.stack([a, a + 1]), a[1:4, 2:] + 0, a.view(7, 5) * 1),
        normal(5, 7),
    )


SMOOTH_AND_BROKEN: tuple[Callable[[Tensor], Tensor], ...] = (
    F.relu, F.gelu, F.silu, F.softplus, F.elu, F.leaky_relu, torch.sigmoid, torch.tanh, torch.sign, torch.abs,
    torch.expm1, torch.reciprocal, torch.exp, lambda x: F.softmax(x, -1), lambda x: F.log_softmax(x, 0),
    lambda x: F.layer_norm(x, (7,)), lambda x: F.gelu(x, approximate="tanh"), lambda x: x**3,
    lambda x: x.clamp(-0.5, 0.7),
)  # fmt: skip


@pytest.mark.parametrize("function", SMOOTH_AND_BROKEN)
def test_functions_and_their_gradients(function: Callable[[Tensor], Tensor]) -> None:
    def program(x: Tensor, g: Tensor) -> tuple[Tensor, ...]:
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            y = function(leaf)
            (grad,) = torch.autograd.grad((y * g).sum(), leaf)
        return y.detach(), grad

    agree(program, normal(20, 7), normal(20, 7, seed=1), tolerance=2e-5)


@pytest.mark.parametrize(
    ("function", "reach", "ulps"),
    [(torch.exp, 87.0, 2), (torch.log, 1e30, 2), (torch.tanh, 9.0, 4), (torch.erf, 4.0, 12)],
)
def test_functions_are_as_exact_as_stated(
    function: Callable[[Tensor], Tensor], reach: float, ulps: float
) -> None:
    x = torch.linspace(-reach, reach, 100_003)
    x = x.abs() + 1e-30 if function is torch.log else x
    (found,) = run(lambda x: (function(x),), x)
    exact = function(x.double())
    error = (found.double() - exact).abs() / exact.abs().clamp(min=1e-37)
    assert error.nan_to_num().max() < ulps * 2.0**-23


def test_numbers_that_are_none_stay_so() -> None:
    x = torch.tensor(
        [float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 1e-40, 88.0, 89.0, -104.0, 3.0] * 3
    )
    for function in (torch.exp, torch.log, torch.tanh, torch.erf, torch.relu, torch.sqrt):
        (found,) = run(lambda x, function=function: (function(x),), x)
        torch.testing.assert_close(found, function(x), rtol=1e-6, atol=1e-44, equal_nan=True)


def test_integers_places_and_conditions() -> None:
    draw = torch.randint(0, 10**9, (5, 40), generator=torch.Generator().manual_seed(0))
    agree(lambda a: (((a & 255) ^ (a >> 3)).to(torch.float32), ((a * 3) << 2).to(torch.float32)), draw)
    places = torch.tensor([1, 3, 0, 0, 2, 4])
    agree(lambda a, i: (a.index_select(0, i), a.gather(1, i[:5, None])), normal(5, 7), places)
    agree(lambda a: ((a.argmax(1) == 2).to(torch.float32), torch.where(a > 0, a, -a)), normal(9, 7))


def test_a_copy_is_of_the_numbers_that_were_there() -> None:
    def program(a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        first, second, kept = a.clone(), b.clone(), a.to(torch.float32, copy=True)
        a.copy_(second)
        b.copy_(first)
        a[:, :3].mul_(2.0)
        return kept + 1.0, first.t() @ kept

    agree(program, normal(5, 7), normal(5, 7, seed=1))


def test_what_is_written_in_place_without_code_for_it_is_told() -> None:
    with pytest.raises(Unsupported, match="aten::cumsum, in place"):
        run(lambda x: (x.clone().cumsum_(1),), normal(5, 3))
    with pytest.raises(Unsupported, match="aten::exp, in place"):
        run(lambda x: (torch.exp(x * 2.0, out=torch.empty_like(x)),), normal(5, 3))


def test_a_change_to_one_of_several_parts_is_a_change_to_the_whole() -> None:
    def program(a: Tensor) -> tuple[Tensor, ...]:
        copied = a.clone()
        copied.chunk(2, 1)[0].mul_(2.0)
        row, _ = copied.split([1, 4])
        row.add_(1.0)
        copied[2] = 5.0
        return copied * 1.0, copied.sum(0)

    agree(program, normal(5, 6))


def test_in_place() -> None:
    def program(p: Tensor, g: Tensor, m: Tensor, s: Tensor) -> tuple[Tensor, ...]:
        mean, squares = m.lerp(g, torch.tensor(0.1)), s.lerp(g.square(), torch.tensor(0.001))
        p.add_(mean / (squares.sqrt() + 1e-7) * -0.1)
        m.copy_(mean)
        s.copy_(squares)
        return (mean.sum(),)

    agree(
        program, normal(33, 5), normal(33, 5, seed=1), normal(33, 5, seed=2), normal(33, 5, seed=3).square()
    )

    def turned(p: Tensor) -> tuple[Tensor, ...]:
        old = p * 2  # computed from the numbers before they are written over
        p.copy_(p.t().clone())
        return (old + p,)

    agree(turned, normal(6, 6))


def test_what_there_is_no_code_for_is_told() -> None:
    with pytest.raises(Unsupported, match=r"aten::sort"):
        run(lambda x: (x.sort(0).values,), normal(5, 3))
    with pytest.raises(Unsupported, match="float64"):
        run(lambda x: ((x.double() * 2).float(),), normal(3))


def test_several_steps_over_several_jobs_stop_where_the_watched_number_is_none() -> None:
    """Job j doubles its number at each step; job 1 passes beyond float32 and is stopped."""
    compiler = Compiler()

    def double(x: Tensor) -> tuple[Tensor, ...]:
        x.mul_(2)
        return (x * 1,)

    function = compiler.function(double, {"x": torch.ones(1)}, [("out", (1,), 0)])
    x_J, out_TJ = torch.tensor([1.0, 1e38, 3.0]), torch.full((4, 3), float("nan"))
    table = compiler.table({"x": rows_of(x_J), "out": rows_of(out_TJ[0])}, 3)
    steps_I = np.zeros(len(compiler.numbers), dtype=np.int64)
    steps_I[compiler.number("out")] = 3 * 4
    stopped_J = np.zeros(3, dtype=np.uint8)
    jobs = Jobs(tables_JI=table, functions=[[function]] * 3, own={}, watched=compiler.number("out"))
    Workers(jobs, 2).run(np.array([0, 1, 2]), 4, steps_I, stopped_J)
    assert stopped_J.tolist() == [0, 1, 0]
    assert out_TJ[:, 0].tolist() == [2.0, 4.0, 8.0, 16.0]
    assert out_TJ[3, 2] == 48.0
    assert out_TJ[0, 1] == pytest.approx(2e38)
    assert out_TJ[1, 1] == float("inf")
    assert out_TJ[2:, 1].isnan().all()


def test_jobs_of_a_group_share_what_is_done_once_for_them() -> None:
    """Each step counts once for a group, and each of its jobs adds the count; one that is stopped ends alone."""
    compiler = Compiler()

    def count(counter: Tensor) -> tuple[Tensor, ...]:
        counter.add_(1)
        return ()

    def add(x: Tensor, counter: Tensor) -> tuple[Tensor, ...]:
        x.add_(counter)
        return (x * 1,)

    first = compiler.function(count, {"counter": torch.zeros(1)}, [])
    function = compiler.function(add, {"x": torch.zeros(1), "counter": torch.zeros(1)}, [("out", (1,), 0)])
    x_J, counts_J = torch.tensor([0.0, float("inf"), 10.0, 20.0]), torch.zeros(4)
    out_TJ = torch.full((3, 4), float("nan"))
    places = {
        "x": rows_of(x_J),
        "counter": [rows_of(counts_J)[j] for j in (0, 1, 0, 1)],
        "out": rows_of(out_TJ[0]),
    }
    table = compiler.table(places, 4)
    steps_I = np.zeros(len(compiler.numbers), dtype=np.int64)
    steps_I[compiler.number("out")] = 4 * 4
    stopped_J = np.zeros(4, dtype=np.uint8)
    jobs = Jobs(
        tables_JI=table,
        functions=[[function, None]] * 4,
        own={},
        rounds=[(first, 1), (None, 1)],
        watched=compiler.number("out"),
    )
    Workers(jobs, 2, most=2).run(np.array([0, 2, 1, 3]), 3, steps_I, stopped_J, np.array([2, 2]))
    assert counts_J.tolist() == [3, 3, 0, 0]
    assert stopped_J.tolist() == [0, 1, 0, 0]
    assert out_TJ[:, [0, 2, 3]].tolist() == [[1, 11, 21], [3, 13, 23], [6, 16, 26]]
    assert out_TJ[1:, 1].isnan().all()


@pytest.mark.parametrize(("kernel", "stride", "side"), [(3, 1, 4), (5, 2, 6), (7, 1, 3)])
def test_the_gradient_of_a_depthwise_convolutions_weights_is_added_up_in_order(
    kernel: int, stride: int, side: int
) -> None:
    """Each number is one sum in float32, picture by picture and row by row, however many are made at once."""
    channels, border = 19, kernel // 2
    x = normal(2, channels, side, side)
    places = (side + 2 * border - kernel) // stride + 1
    grad = normal(2, channels, places, places)

    def backward(grad: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
        found = torch.ops.aten.convolution_backward(
            grad,
            x,
            weight,
            None,
            [stride] * 2,
            [border] * 2,
            [1, 1],
            False,
            [0, 0],
            channels,
            [False, True, False],
        )
        return (found[1],)

    (found,) = run(backward, grad, x, torch.zeros(channels, 1, kernel, kernel))
    framed = np.pad(x.numpy(), ((0, 0), (0, 0), (border, border), (border, border)))
    wanted = np.zeros((channels, 1, kernel, kernel), dtype=np.float32)
    for i, j in np.ndindex(kernel, kernel):
        for b, row, column in np.ndindex(2, places, places):
            seen = framed[b, :, stride * row + i, stride * column + j]
            wanted[:, 0, i, j] += grad[b, :, row, column].numpy() * seen
    np.testing.assert_array_equal(found, wanted)


def test_the_inverse_of_erf_is_torchs_up_to_its_ends() -> None:
    """All that `ravine.rng.normal` asks for lies among these: odd multiples of 2^-24."""
    ends = torch.arange(1, 4000, dtype=torch.float64) * 2.0**-23
    inner = torch.linspace(-0.999, 0.999, 4001, dtype=torch.float64)
    x = torch.cat([inner, 1.0 + 2.0**-24 - ends, -1.0 - 2.0**-24 + ends]).float().reshape(1, -1)
    (found,) = run(lambda a: (torch.erfinv(a),), x)
    torch.testing.assert_close(found.double(), torch.erfinv(x.double()), rtol=2e-6, atol=1e-7)


def test_attention_that_may_look_at_nothing() -> None:
    mask = torch.zeros(3, 4)
    mask[1] = mask[2, :2] = -torch.inf
    agree(lambda x: (torch.ops.aten._safe_softmax(x + mask, -1),), normal(2, 3, 4))


def test_windows_as_a_view() -> None:
    agree(lambda x: (x.unfold(1, 3, 2), x.unfold(2, 2, 2).unfold(1, 4, 1) * 2.0), normal(2, 9, 6))


def test_strides_that_a_tensor_has_already() -> None:
    agree(lambda x: (F.adaptive_avg_pool2d(x.to(memory_format=torch.channels_last), 1),), normal(2, 5, 3, 4))
    with pytest.raises(Unsupported, match="as_strided"):
        run(lambda x: (x.as_strided((2, 2), (1, 3)),), normal(3, 4))


@pytest.mark.parametrize("padding", [-1, 2])
def test_the_gradient_of_an_embedding_adds_up_what_is_there_twice(padding: int) -> None:
    words = torch.tensor([[0, 2, 2], [4, 2, 0]])
    backward = torch.ops.aten.embedding_dense_backward
    agree(lambda grad: (backward(grad, words, 5, padding, False),), normal(2, 3, 19))


def test_a_recurrence_of_onednn_step_by_step() -> None:
    lstm = torch.nn.LSTM(5, 7, batch_first=True)

    def program(x: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        names = [name for name, _ in lstm.named_parameters()]
        free = [w.detach().requires_grad_() for w in weights]
        out, _ = torch.func.functional_call(lstm, dict(zip(names, free, strict=True)), (x,))
        return (out.detach(), *torch.autograd.grad(out.square().sum(), free))

    agree(program, normal(3, 4, 5), *[w.detach() for w in lstm.parameters()])


def test_triangles() -> None:
    agree(lambda x: (x.tril(), x.triu(1), x.tril(-2), (x > 0).tril() * 1.0), normal(2, 5, 7))


def test_one_of_several_results_written_over() -> None:
    def program(x: Tensor, scale: Tensor) -> tuple[Tensor, ...]:
        y = F.batch_norm(x, None, None, scale, None, training=True)
        return (torch.relu_(y) + x,)

    agree(program, normal(6, 3), normal(3, seed=1))


def test_seen_otherwise_in_place() -> None:
    agree(lambda x: ((x * 2.0).transpose_(0, 1).unsqueeze_(1) + 1.0,), normal(4, 3))
