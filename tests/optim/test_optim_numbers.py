"""What every class computes: against the rule, against torch.optim, on every path."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ravine.native.vectors import OverVectors
from ravine.optim import (
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    Lion,
    Momentum,
    NAdam,
    Nesterov,
    RMSProp,
    ScheduleFreeAdamW,
)
from ravine.optim.lists import OverLists, _portions
from ravine.optim.members import Members
from ravine.rules import decays, regularize, rule

EXACT = 1e-12  # float64, 200 steps
SINGLE = {"rtol": 2e-5, "atol": 2e-6}  # float32, 30 steps, other order of operations

Make = Callable[[Any], torch.optim.Optimizer]
PAIRS: dict[str, tuple[Make, Make]] = {
    "sgd": (lambda p: SGD(p, 0.05), lambda p: torch.optim.SGD(p, 0.05)),
    "sgd, decay": (
        lambda p: SGD(p, 0.05, weight_decay=0.1, preset="torch"),
        lambda p: torch.optim.SGD(p, 0.05, weight_decay=0.1),
    ),
    "momentum": (lambda p: Momentum(p, 0.02), lambda p: torch.optim.SGD(p, 0.02, momentum=0.9)),
    "momentum, maximize": (
        lambda p: Momentum(p, 0.0002, 0.8, maximize=True),
        lambda p: torch.optim.SGD(p, 0.0002, momentum=0.8, maximize=True),
    ),
    "nesterov": (
        lambda p: Nesterov(p, 0.02, preset="torch"),
        lambda p: torch.optim.SGD(p, 0.02, momentum=0.9, nesterov=True),
    ),
    "adagrad": (lambda p: AdaGrad(p, 0.1, preset="torch"), lambda p: torch.optim.Adagrad(p, 0.1)),
    "rmsprop": (lambda p: RMSProp(p, 0.01, preset="torch"), lambda p: torch.optim.RMSprop(p, 0.01)),
    "adam": (lambda p: Adam(p, 0.01, preset="torch"), lambda p: torch.optim.Adam(p, 0.01)),
    "adam, decay": (
        lambda p: Adam(p, 0.01, (0.8, 0.99), 1e-6, weight_decay=0.1, preset="torch"),
        lambda p: torch.optim.Adam(p, 0.01, (0.8, 0.99), 1e-6, weight_decay=0.1),
    ),
    "adamw": (
        lambda p: AdamW(p, 0.01, weight_decay=0.1, preset="torch"),
        lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1),
    ),
    "nadam": (
        lambda p: NAdam(p, 0.01, momentum_decay=0.01, weight_decay=0.01, preset="torch"),
        lambda p: torch.optim.NAdam(p, 0.01, momentum_decay=0.01, weight_decay=0.01),
    ),
}


def model(dtype: torch.dtype = torch.float64) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).to(dtype)


def data(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(1)
    return (
        torch.randn(16, 5, generator=draws, dtype=torch.float64).to(dtype),
        torch.randn(16, 3, generator=draws, dtype=torch.float64).to(dtype),
    )


def train(module: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    first = next(module.parameters())
    x, y = (tensor.to(first.device) for tensor in data(first.dtype))
    for _ in range(steps):
        optimizer.zero_grad()
        (module(x) - y).square().mean().backward()
        optimizer.step()


def distance(first: nn.Module, second: nn.Module) -> float:
    both = zip(first.parameters(), second.parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in both)


@pytest.mark.usefixtures("float64_by_default")
@pytest.mark.parametrize("name", PAIRS)
def test_same_numbers_as_torch_in_float64(name: str) -> None:
    ours, theirs = model(), model()
    train(ours, PAIRS[name][0](ours.parameters()), 200)
    train(theirs, PAIRS[name][1](theirs.parameters()), 200)
    assert distance(ours, model()) > 0.01
    assert distance(ours, theirs) < EXACT


@pytest.mark.gpu
@pytest.mark.usefixtures("float64_by_default")
@pytest.mark.parametrize("name", PAIRS)
def test_same_numbers_on_a_gpu(name: str) -> None:
    here, there = model(), model().to("cuda")
    train(here, PAIRS[name][0](here.parameters()), 20)
    train(there, PAIRS[name][0](there.parameters()), 20)
    assert distance(here, there.to("cpu")) < EXACT


@pytest.mark.parametrize("name", PAIRS)
def test_machine_code_computes_the_same_in_float32(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    by_code, exact = model(torch.float32), model(torch.float32).double()
    calls: list[bool] = []
    real = OverVectors.__call__
    monkeypatch.setattr(OverVectors, "__call__", lambda *given: (calls.append(True), real(*given))[1])
    monkeypatch.delattr(OverLists, "__call__")
    train(by_code, PAIRS[name][0](by_code.parameters()), 30)
    assert len(calls) >= 30
    train(exact, PAIRS[name][1](exact.parameters()), 30)
    for a, b in zip(by_code.parameters(), exact.parameters(), strict=True):
        torch.testing.assert_close(a, b.float(), **SINGLE)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_kernels_over_lists_compute_the_same(
    name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Members, "plain", lambda *_given: False)
    ours, theirs = model(dtype), model(dtype)
    steps = 30 if dtype == torch.float32 else 5
    train(ours, PAIRS[name][0](ours.parameters()), steps)
    train(theirs, PAIRS[name][1](theirs.parameters()), steps)
    tolerance = SINGLE if dtype == torch.float32 else {"rtol": 0.05, "atol": 0.02}
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, **tolerance)


@pytest.mark.usefixtures("float64_by_default")
@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("direction", ["from torch", "to torch"])
def test_state_is_interchangeable_with_torch(name: str, direction: str) -> None:
    ours, theirs = PAIRS[name]
    first, second = (theirs, ours) if direction == "from torch" else (ours, theirs)
    begun, straight = model(), model()
    optimizer = first(begun.parameters())
    train(begun, optimizer, 10)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    went_on = copy.deepcopy(begun)
    again = second(went_on.parameters())
    again.load_state_dict(torch.load(file, weights_only=True))
    train(went_on, again, 10)
    train(straight, theirs(straight.parameters()), 20)
    assert distance(went_on, straight) < EXACT


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("sgd", lambda p: SGD(p, 0.05, weight_decay=0.1, l1=0.01)),
        ("momentum", lambda p: Momentum(p, 0.02, decoupled_weight_decay=0.5, max_norm=0.9)),
        ("nesterov", lambda p: Nesterov(p, 0.02, l1=0.02)),
        ("adam", lambda p: Adam(p, 0.01, bias_correction=False, max_norm=0.5)),
        ("nadam", lambda p: NAdam(p, 0.01, l1=0.01, max_norm=0.7)),
        ("lion", lambda p: Lion(p, 0.003, weight_decay=0.1)),
        ("schedule_free_adamw", lambda p: ScheduleFreeAdamW(p, 0.02, weight_decay=0.1)),
        ("schedule_free_adamw", lambda p: ScheduleFreeAdamW(p, 0.02, l1=0.01)),
        ("rmsprop", lambda p: RMSProp(p, 0.01, weight_decay=0.2, decoupled_weight_decay=0.1)),
    ],
)
def test_same_numbers_as_the_rule_with_its_regularizers(kind: str, make: Make) -> None:
    ours, formula = model(), model()
    optimizer = make(ours.named_parameters())
    group = optimizer.param_groups[0]
    train(ours, optimizer, 50)
    names = {"rho": "momentum", "decay": "alpha"}
    states = {name: rule(kind).init(p.detach()) for name, p in formula.named_parameters()}
    x, y = data()
    for step in range(50):
        formula.zero_grad()
        (formula(x) - y).square().mean().backward()
        for name, param in formula.named_parameters():
            active = {
                key for key in ("weight_decay", "decoupled_weight_decay", "l1", "max_norm") if group.get(key)
            }
            if not decays(name, param.shape):
                active &= {"max_norm"}
            regularized = regularize(rule(kind), active)
            values = {}
            for hyper in regularized.hypers:
                at = {"beta1": 0, "beta2": 1}.get(hyper)
                value = group[names.get(hyper, hyper)] if at is None else group["betas"][at]
                spared = hyper == "weight_decay" and not decays(name, param.shape)
                values[hyper] = torch.tensor(0.0 if spared else float(value), dtype=torch.float64)
            t = torch.tensor(step + 1.0, dtype=torch.float64)
            with torch.no_grad():
                move, states[name] = regularized.update(param.grad, states[name], param, values, t)
                param += move
    assert distance(ours, formula) < EXACT


def test_complex_parameters_are_pairs_of_numbers() -> None:
    start = torch.tensor([1.0 + 2.0j, -0.5j], dtype=torch.complex64)
    ours, theirs = (start.clone().requires_grad_() for _ in range(2))
    for param, make in ((ours, PAIRS["adam"][0]), (theirs, PAIRS["adam"][1])):
        optimizer = make([param])
        for _ in range(20):
            optimizer.zero_grad()
            (param - (0.3 + 0.1j)).abs().square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours, theirs, **SINGLE)


@pytest.mark.parametrize("strided", [False, True])
def test_max_norm_leaves_complex_vectors_alone_and_limits_rows_of_complex_matrices(strided: bool) -> None:
    """A vector of complex numbers has one dimension; a row's length is that of all its numbers."""
    draws = torch.Generator().manual_seed(0)
    matrix = torch.randn(3, 4, generator=draws, dtype=torch.complex64)
    vector = torch.randn(6, generator=draws, dtype=torch.complex64)
    ends = []
    for limit in (0.0, 0.5):
        params = [matrix.clone(), vector.clone()[::2] if strided else vector.clone()]
        for param in params:
            param.requires_grad_()
        optimizer = Momentum(params, 0.1, max_norm=limit, ema=0.5)
        for _ in range(3):
            for param in params:
                param.grad = torch.ones_like(param)
            optimizer.step()
        ends.append([param.detach() for param in params])
    (free, vector_free), (held, vector_held) = ends
    assert float(vector_free.abs().max()) > 0.5
    assert torch.equal(vector_free, vector_held)
    assert float(torch.linalg.vector_norm(free, dim=1).min()) > 0.5
    torch.testing.assert_close(torch.linalg.vector_norm(held, dim=1), torch.full((3,), 0.5))


def test_channels_last_weights_keep_their_layout_and_go_through_machine_code() -> None:
    results = []
    for last in (False, True):
        torch.manual_seed(0)
        conv = nn.Conv2d(3, 4, 3)
        if last:
            conv = conv.to(memory_format=torch.channels_last)
        optimizer = Adam(conv.parameters(), 0.01)
        for _ in range(5):
            optimizer.zero_grad()
            conv(torch.ones(2, 3, 5, 5)).square().mean().backward()
            optimizer.step()
        results.append(conv.weight.detach())
        assert conv.weight.is_contiguous(memory_format=torch.channels_last) == last
    torch.testing.assert_close(*results, **SINGLE)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("max_norm", [0.0, 0.5])
def test_a_step_is_not_recorded_where_gradients_have_a_graph(dtype: torch.dtype, max_norm: float) -> None:
    weight = torch.ones(2, 3, dtype=dtype, requires_grad=True)
    optimizer = Adam([weight], 0.1, max_norm=max_norm)
    for _ in range(2):
        (weight.grad,) = torch.autograd.grad(weight.square().sum(), weight, create_graph=True)
        assert weight.grad.requires_grad
        optimizer.step()
        weight.grad = None
    assert weight.is_leaf
    assert not any(value.requires_grad for value in optimizer.state[weight].values())
    assert float(weight.detach().max()) < 1.0


def test_a_gradient_that_is_negated_when_it_is_read() -> None:
    weight = torch.zeros(3, requires_grad=True)
    weight.grad = torch._neg_view(torch.tensor([1.0, -2.0, 3.0]))
    SGD([weight], 1.0).step()
    assert weight.tolist() == [1.0, -2.0, 3.0]


def test_schedule_free_is_deployed_at_the_average() -> None:
    """The paper's three points, x, y and z, with a learning rate that warms up."""
    module = model()
    optimizer = ScheduleFreeAdamW(module.parameters(), 0.1, weight_decay=0.1, exclude="")
    rates = [0.02, 0.05, *[0.1] * 18]
    x = [param.detach().clone() for param in module.parameters()]
    z, s, total = [a.clone() for a in x], [torch.zeros_like(a) for a in x], 0.0
    for t, lr in enumerate(rates, start=1):
        optimizer.param_groups[0]["lr"] = lr
        y = [param.detach().clone() for param in module.parameters()]
        train(module, optimizer, 1)
        total += lr**2
        for i, param in enumerate(module.parameters()):
            s[i] = 0.999 * s[i] + 0.001 * param.grad**2
            z[i] = z[i] - lr * (param.grad / ((s[i] / (1 - 0.999**t)).sqrt() + 1e-7) + 0.1 * y[i])
            x[i] = x[i] + lr**2 / total * (z[i] - x[i])
            torch.testing.assert_close(param.detach(), 0.1 * z[i] + 0.9 * x[i], rtol=0.0, atol=EXACT)
    with optimizer.deployed():
        for param, average in zip(module.parameters(), x, strict=True):
            torch.testing.assert_close(param.detach(), average, rtol=0.0, atol=EXACT)


def test_moving_average_and_where_it_is_read() -> None:
    module = model(torch.float32)
    optimizer = Adam(module.parameters(), 0.05, ema=0.9)
    expected = [param.detach().double().clone() for param in module.parameters()]
    for t in range(1, 21):
        train(module, optimizer, 1)
        for mean, param in zip(expected, module.parameters(), strict=True):
            mean.lerp_(param.detach().double(), 0.1 / (1.0 - 0.9**t))
    now = [param.detach().clone() for param in module.parameters()]
    with optimizer.deployed():
        for mean, param in zip(expected, module.parameters(), strict=True):
            torch.testing.assert_close(param.detach(), mean.float(), **SINGLE)
    for before, param in zip(now, module.parameters(), strict=True):
        assert torch.equal(before, param)


def test_nesterov_is_deployed_at_its_true_point() -> None:
    ours, definition = model(), model()
    optimizer = Nesterov(ours.parameters(), 0.02)
    train(ours, optimizer, 30)
    velocity = [torch.zeros_like(param) for param in definition.parameters()]
    x, y = data()
    for _ in range(30):
        params = list(definition.parameters())
        with torch.no_grad():
            for param, v in zip(params, velocity, strict=True):
                param += 0.9 * v
        definition.zero_grad()
        (definition(x) - y).square().mean().backward()
        with torch.no_grad():
            for param, v in zip(params, velocity, strict=True):
                param -= 0.9 * v
                v.mul_(0.9).sub_(0.02 * param.grad)
                param += v
    with optimizer.deployed():
        assert distance(ours, definition) < EXACT
    assert distance(ours, definition) > 1e-4


def test_portions_hold_every_number_once_and_are_not_large() -> None:
    draws = [torch.randn(size) for size in (3, 0, 25, 4, 4, 4, 1)]
    given = [draws, [tensor * 2.0 for tensor in draws]]
    found = list(_portions(given, 10))
    for i, tensors in enumerate(given):
        assert torch.equal(
            torch.cat([piece for portion in found for piece in portion[i]]), torch.cat(tensors)
        )
    assert all(sum(piece.numel() for piece in portion[0]) <= 10 for portion in found)
    apart = [torch.randn(4, 4).t()]  # cannot be cut
    assert list(_portions([apart], 10)) == [[apart]]


@pytest.mark.parametrize("size", [10, 50])
def test_a_parameter_of_another_size_is_refused_and_no_foreign_memory_touched(size: int) -> None:
    """Its state is of the old size; torch.optim refuses too."""
    memory = torch.ones(100)
    weight = nn.Parameter(memory[:30])
    optimizer = Adam([weight], 0.1)
    weight.grad = torch.ones(30)
    optimizer.step()
    before = memory[size:].clone()
    weight.data, weight.grad = memory[:size], None
    weight.grad = torch.ones(size)
    with pytest.raises(RuntimeError, match=r"state 'exp_avg' has shape \(30,\)"):
        optimizer.step()
    assert torch.equal(memory[size:], before)


def test_a_gradient_or_state_of_another_size_is_refused() -> None:
    small, large = nn.Parameter(torch.ones(10)), nn.Parameter(torch.ones(50))
    optimizers = [Adam([param], 0.1) for param in (small, large)]
    small.grad, large.grad = torch.ones(10), torch.ones(50)
    for optimizer in optimizers:
        optimizer.step()
    optimizers[1].load_state_dict(optimizers[0].state_dict())
    with pytest.raises(RuntimeError, match=r"state 'exp_avg' has shape \(10,\): must be \(50,\)"):
        optimizers[1].step()
    free = SGD([small], 0.1)
    small.data = torch.ones(50)  # the gradient is what it was
    with pytest.raises(RuntimeError, match="size"):
        free.step()


def test_a_parameter_that_is_turned_round_in_its_memory_takes_its_own_gradient() -> None:
    weight = nn.Parameter(torch.zeros(3, 3))
    optimizer = SGD([weight], 1.0)
    weight.grad = torch.zeros(3, 3)
    optimizer.step()
    weight.data, weight.grad = weight.data.t(), None
    weight.grad = torch.arange(9.0).view(3, 3)
    optimizer.step()
    assert torch.equal(weight.detach(), -weight.grad)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_graph_that_needs_weights_from_before_a_step_is_refused(dtype: torch.dtype) -> None:
    weight = torch.ones(3, dtype=dtype, requires_grad=True)
    loss = weight.square().sum()
    loss.backward(retain_graph=True)
    SGD([weight], 0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
