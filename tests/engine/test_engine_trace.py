"""Traced steps: what is traced, how often, and what cannot be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
import torch
from engine_runs import FUSED, SERIAL, all_runs, study, train, training_of, with_lr
from torch import Tensor, fx, nn

from ravine.engine.aligned import AlignedProducts
from ravine.engine.programs import TOGETHER
from ravine.engine.traced import tracing as program
from ravine.nn.build import build
from ravine.rules import RULES
from ravine.trace import Untraceable, trace
from thinning import thinned


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[fx.GraphModule]:
    """The graphs that are traced from now on."""
    graphs: list[fx.GraphModule] = []

    def noting(*args: object) -> fx.GraphModule:
        graphs.append(trace(*args))  # type: ignore[arg-type]
        return graphs[-1]

    monkeypatch.setattr(program, "trace", noting)
    return graphs


@pytest.mark.parametrize("backend", [FUSED, SERIAL], ids=str)
def test_a_training_is_traced_once_whatever_its_schedule(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = recorded(monkeypatch)
    made = study(schedule=[{"kind": "cosine", "warmup": 3}, "constant"], steps=25)
    train(made, all_runs(made) if backend in TOGETHER else all_runs(made)[:1], backend)
    assert len(graphs) == 1


def test_numbers_are_no_part_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another lr, schedule, decay, momentum, dropout rate or seed: the same graph, node by node."""
    monkeypatch.setattr(program, "fold", lambda *_: None)
    monkeypatch.setattr(program, "write_through", lambda *_: None)
    graphs = recorded(monkeypatch)
    for lr, rho, decay, rate, seeds, schedule in (
        (0.1, 0.9, 0.1, 0.2, [0, 1], "constant"),
        (0.003, 0.5, 0.7, 0.4, [5, 9], {"kind": "cosine", "warmup": 4}),
    ):
        rules = [
            {"kind": "momentum", "lr": lr, "rho": rho, "weight_decay": decay},
            {"kind": "adam", "lr": lr / 10},
        ]
        made = study(rules=rules, dropout=rate, seeds=seeds, schedule=schedule)
        training_of(made, all_runs(made))
    one, other = graphs
    assert one.code == other.code
    constants = [dict(graph.named_buffers()) for graph in graphs]
    assert constants[0].keys() == constants[1].keys()
    for name, value in constants[0].items():
        assert torch.equal(value, constants[1][name]), name


def test_another_lr_is_another_input_not_another_program() -> None:
    made = study(seeds=1)
    run = all_runs(made)[0]
    training = training_of(made, [run, with_lr(run, 0.5)])
    before = training.snapshot()["params"]
    training.advance()
    moved = abs(training.snapshot()["params"] - before).max(1)
    lrs = [each.recipe.hypers["lr"] for each in training.cohort.runs]
    assert moved[lrs.index(0.5)] > 10 * moved[1 - lrs.index(0.5)]


@pytest.mark.slow
def test_another_lr_compiles_nothing_anew() -> None:
    from torch._dynamo.utils import counters

    compiled = "compiled"
    rules = [{"kind": "adam", "lr": [0.01, 0.02]}, {"kind": "momentum", "lr": [0.05, 0.1]}]
    train(study(rules=rules, steps=3), backend=compiled)
    counters.clear()
    others = [{"kind": "adam", "lr": [0.003, 0.1]}, {"kind": "momentum", "lr": [0.5, 0.2]}]
    train(study(rules=others, steps=3, schedule={"kind": "cosine"}), backend=compiled)
    assert counters["inductor"]["fxgraph_cache_miss"] == 0, dict(counters["inductor"])


def test_no_autograd_and_no_vmap_at_run_time(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = recorded(monkeypatch)
    made = study()
    training_of(made, all_runs(made))
    targets = {node.target for node in graphs[0].graph.nodes if node.op == "call_function"}
    operations = {target for target in targets if isinstance(target, torch._ops.OpOverload)}
    assert {target.namespace for target in operations} == {"aten"}
    assert len(targets - operations) <= 1  # picking one of several results


@pytest.mark.slow
def test_training_does_not_import_torchs_compiler() -> None:
    """It would take longer than many a study."""
    code = (
        "import sys, torch; from engine_runs import study, train; train(study(steps=2));"
        "print([m for m in ('torch._dynamo', 'torch._inductor') if m in sys.modules])"
    )
    path = str(__file__).rpartition("/")[0]
    done = subprocess.run([sys.executable, "-c", code], cwd=path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: (x * x.sum().item(),), "control flow depends"),
        (lambda x: (x if x.sum() > 0 else -x,), "control flow depends"),
        (lambda x: (torch.rand_like(x),), "random numbers"),
        (lambda x: (torch.nn.functional.dropout(x, 0.5),), "random numbers"),
        (lambda x: (x[x > 0],), "shape of the result of aten::index"),
        (lambda x: (x.nonzero(),), "shape of the result of aten::nonzero"),
    ],
)
def test_what_cannot_be_traced_says_why(function: object, reason: str) -> None:
    with pytest.raises(Untraceable, match=reason):
        trace(function, [torch.ones(3)])  # type: ignore[arg-type]


def test_what_can() -> None:
    constant = torch.arange(3.0)

    def function(x: Tensor, rows: Tensor) -> tuple[Tensor, ...]:
        picked = x[rows]
        values, places = picked.sort()
        x.add_(constant)
        off = torch.nn.functional.dropout(x, 0.0)
        return values, places, off + torch.tensor(2.0)

    graph = trace(function, [torch.ones(3), torch.tensor([0, 1])])
    x, rows = torch.tensor([3.0, 1.0, 2.0]), torch.tensor([0, 2])
    values, places, sums = graph(x, rows)
    assert values.tolist() == [2.0, 3.0]
    assert places.tolist() == [1, 0]
    assert x.tolist() == [3.0, 2.0, 4.0]
    assert sums.tolist() == [5.0, 4.0, 6.0]


@pytest.mark.parametrize("shape", [(13, 13, 3), (1, 63, 7), (50, 17, 10), (266, 64, 1), (5, 3, 2)])
@pytest.mark.parametrize("turned", ["nn", "nt", "tn", "tt"])
def test_a_product_has_the_same_bits_wherever_it_stands(shape: tuple[int, int, int], turned: str) -> None:
    rows, inner, columns = shape
    generator = torch.Generator().manual_seed(0)
    num = 9

    def draw(rows: int, columns: int, how: str) -> Tensor:
        if how == "n":
            return torch.randn(num, rows, columns, generator=generator)
        return torch.randn(num, columns, rows, generator=generator).mT

    left, right = draw(rows, inner, turned[0]), draw(inner, columns, turned[1])
    with AlignedProducts():
        all_of_them = left @ right
        for some in (slice(3, 5), slice(1, 6), slice(7, 9)):
            assert torch.equal(left[some].clone() @ right[some].clone(), all_of_them[some])
    torch.testing.assert_close(all_of_them, left @ right, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "activation", [nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Sigmoid(), nn.Softplus(), nn.Tanh()]
)
def test_an_activation_is_torchs_and_has_the_same_bits_wherever_it_stands(activation: nn.Module) -> None:
    x = torch.linspace(-9, 9, 1003).requires_grad_()
    (slope,) = torch.autograd.grad(activation(x.double()).sum(), x)
    with AlignedProducts():
        y = activation(x)
        (ours,) = torch.autograd.grad(y.sum(), x)
        for start in range(0, 990, 13):
            assert torch.equal(
                activation(x[start : start + 7].detach().clone()), y[start : start + 7].detach()
            )
    torch.testing.assert_close(y.double(), activation(x.double()), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours, slope, rtol=1e-4, atol=2e-6)


def test_built_in_activations_are_among_them() -> None:
    from ravine.nn.spec import MLP

    for name in ("relu", "tanh", "gelu", "silu"):
        assert build(MLP(activation=name, hidden=(3,)), (2,), 2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kinds", "norm"),
    thinned(product([*((kind,) for kind in RULES), tuple(RULES)], ["none", "batch"]), strength=1),
)
def test_a_program_made_anew_goes_on_as_the_one_that_ran(kinds: Sequence[str], norm: str) -> None:
    """Nothing but the state carries over from step to step: no folded constant, no memory that is used again."""
    made = study(
        model={"kind": "mlp", "hidden": [9], "norm": norm},
        rules=[{"kind": kind, "lr": [0.003, 0.01]} for kind in kinds],
        dropout=0.2,
    )
    runs = all_runs(made)
    ran = training_of(made, runs)
    for _ in range(3):
        ran.advance()
    anew = training_of(made, runs, start=(ran.step, ran.snapshot()))
    for _ in range(3):
        ran.advance()
        anew.advance()
    ours, theirs = ran.snapshot(), anew.snapshot()
    for name in ours.keys() - {"seconds"}:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
