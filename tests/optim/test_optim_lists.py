"""Kernels over lists: what they write over, and what not, against the same operations tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor
from torch.optim import Optimizer

from ravine.native.split import Split
from ravine.optim import SGD, AdaGrad, Adam, AdamW, Lion, Momentum, NAdam, Nesterov, RMSProp
from ravine.optim.lists import OverLists

NAMES = ["x", "g", "a", "b"]
Program = Callable[..., Sequence[Tensor]]

PROGRAMS: dict[str, tuple[Program, list[str]]] = {
    "in place": (lambda x, g, a, b, n: (x + a.lerp(g, n), a.lerp(g, n)), ["x", "a"]),
    "a swap": (lambda x, g, a, b, n: (b, a), ["a", "b"]),
    "an old value kept": (lambda x, g, a, b, n: (x - g * n, x), ["x", "a"]),
    "an old value needed late": (
        lambda x, g, a, b, n: (x * n + g, (x * n + g) / (x.abs() + 1.0)),
        ["x", "b"],
    ),
    "one value twice": (lambda x, g, a, b, n: ((a + b) * n,) * 2, ["a", "b"]),
    "the gradient": (lambda x, g, a, b, n: (g, g * g), ["a", "b"]),
    "itself twice": (lambda x, g, a, b, n: (x + x, a * a, b + b * n), ["x", "a", "b"]),
    "a quotient": (lambda x, g, a, b, n: (x + a * n / (b.sqrt() + n), a - b, n - b), ["x", "a", "b"]),
    "a quotient first": (lambda x, g, a, b, n: (a / b + x, a / b + a), ["x", "a"]),
    "numbers first": (lambda x, g, a, b, n: (n * x + n, n + a, torch.addcmul(b, n, g)), ["x", "a", "b"]),
    "a product that is its own addend": (
        lambda x, g, a, b, n: (lambda y: (y.addcmul(y, n), b + g))(x * n),
        ["x", "b"],
    ),
    "a difference": (lambda x, g, a, b, n: (x - a * n, torch.sub(a, b, alpha=2)), ["x", "a"]),
    "parts of arguments": (lambda x, g, a, b, n: (a.detach() + g, a.detach().sqrt()), ["x", "a"]),
    "no kernel": (lambda x, g, a, b, n: (x.maximum(n) + g.sign(), a.clamp(min=0.3).reciprocal()), ["x", "a"]),
    "products of three": (lambda x, g, a, b, n: (x.addcmul(a, b), a.mul(b).mul(n) + a.mul(b)), ["x", "a"]),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", PROGRAMS)
def test_lists_hold_what_the_operations_give(name: str, dtype: torch.dtype) -> None:
    program, written = PROGRAMS[name]
    draws = torch.Generator().manual_seed(0)
    shapes = [(3,), (2, 5), (0,), (1,)]
    lists = {
        each: [torch.rand(shape, generator=draws, dtype=torch.float64).to(dtype) + 0.5 for shape in shapes]
        for each in NAMES
    }
    before = {each: [tensor.clone() for tensor in tensors] for each, tensors in lists.items()}
    assert OverLists(Split(program, NAMES, ["n"], written))(lists, {"n": 0.25}) == {}
    number = torch.tensor(0.25, dtype=torch.float64)
    rounding = 1e-14 if dtype == torch.float64 else 0.03
    for i in range(len(shapes)):
        wanted = dict(zip(written, program(*(before[each][i] for each in NAMES), number), strict=True))
        for each in NAMES:
            expected = wanted.get(each, before[each][i])
            torch.testing.assert_close(lists[each][i], expected, rtol=rounding, atol=rounding)


@pytest.mark.parametrize("made", [SGD, Momentum, Nesterov, AdaGrad, RMSProp, Adam, AdamW, NAdam, Lion])
def test_rules_write_their_state_in_place(made: type[Optimizer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "_foreach_copy_", lambda *_lists: pytest.fail("a copy"))
    weight = torch.ones(4, dtype=torch.float64, requires_grad=True)
    weight.grad = torch.ones_like(weight)
    optimizer = made([weight], lr=0.1)  # type: ignore[call-arg]  # type: ignore[call-arg]
    optimizer.step()
    assert not torch.equal(weight, torch.ones_like(weight))
