"""Machine code that reads and writes places that are numbers themselves, against PyTorch's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from native_functions import agree, normal
from torch import Tensor
from torch.nn import functional as F

from ravine.native.compiler import Compiler
from ravine.native.workers import Jobs, Workers

ROWS = torch.tensor([1, 4, 0, 1, 1, 3])
PLACES = torch.tensor([[0, 2, 2], [4, 2, 0], [1, 1, 1]])

READS: dict[str, Callable[[Tensor], Tensor]] = {
    "index_select": lambda x: x.index_select(1, ROWS),
    "gather": lambda x: x.gather(1, PLACES[:, :, None].expand(3, 3, 19)),
    "gather a part": lambda x: x.gather(2, PLACES[None]),
    "take_along_dim": lambda x: x.take_along_dim(PLACES[:1, None] * 4, 2),
    "rows": lambda x: x[:, ROWS],
    "from the end": lambda x: x[:, ROWS - 5],
    "points": lambda x: x[PLACES % 3, ROWS[:3, None]],
    "points apart": lambda x: x[PLACES % 3, :, ROWS[:3]],
    "points behind": lambda x: x[:, ROWS[:3], PLACES],
    "points by one index twice": lambda x: (lambda rows: x[:, rows, rows])(ROWS - 5),
    "embedding": lambda x: F.embedding(PLACES, x[1]),
    "bags": lambda x: F.embedding_bag(PLACES, x[0]) + F.embedding_bag(PLACES, x[1], mode="sum"),
    "pooling by row and column": lambda x: x[:, PLACES[0] % 5][:, :, ROWS].amax((1, 2)),
    "computed": lambda x: x.gather(2, (x.detach().abs() * 3).long().clamp(max=18)),
    "largest": lambda x: x.max(1).values + x.min(1, keepdim=True).values.sum(1),
}


@pytest.mark.parametrize("name", READS)
def test_what_is_read_and_its_gradient(name: str) -> None:
    def program(x: Tensor, weights: Tensor) -> tuple[Tensor, ...]:
        with torch.enable_grad():
            leaf = (x * 1.0).detach().requires_grad_()
            found = READS[name](leaf)
            (grad,) = torch.autograd.grad((found * weights).sum(), leaf)
        return found.detach(), grad

    x = normal(3, 5, 19)
    agree(program, x, normal(*READS[name](x).shape, seed=1))


WRITES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "index_add": lambda x, y: x.index_add(0, ROWS, y, alpha=2.0),
    "index_add columns": lambda x, y: x.index_add(1, ROWS, y[:5, :6]),
    "index_add in place": lambda x, y: (x * 1.0).index_add_(0, ROWS, y),
    "index_copy": lambda x, y: x.index_copy(0, ROWS[:3], y[:3]),
    "scatter_add": lambda x, y: x.scatter_add(0, PLACES, y),
    "scatter_add of one": lambda x, y: x.scatter_add(1, ROWS[:5, None], y),
    "scatter": lambda x, y: x.scatter(1, PLACES[:2] * 2, y),
    "scatter a number": lambda x, y: x.scatter(1, PLACES[:2] * 2, 3.0) + y[:5],
    "scatter in place": lambda x, y: (x * 1.0).scatter_(0, PLACES, 2.0, reduce="add") + y[:5],
    "index_put": lambda x, y: torch.index_put(x, (PLACES, ROWS[:3]), y[:3, :3], accumulate=True),
    "index_put rows": lambda x, y: torch.index_put(x, (ROWS,), y[0], accumulate=True),
    "assigned": lambda x, y: _assigned(x, y),
}


def _assigned(x: Tensor, y: Tensor) -> Tensor:
    x = x * 1.0
    x[:, ROWS[:3] - 1] = y[0, 0]
    x[x > 1.0] = 0.5
    return x + y[:5]


@pytest.mark.parametrize("name", WRITES)
def test_what_is_written(name: str) -> None:
    agree(lambda x, y: (WRITES[name](x, y),), normal(5, 19), normal(6, 19, seed=1))


def outside(x: Tensor, y: Tensor, places: Tensor) -> tuple[Tensor, ...]:
    """Machine code that is compiled with other indices, since PyTorch refuses these."""

    def program(x: Tensor, y: Tensor, places: Tensor) -> tuple[Tensor, ...]:
        added = torch.zeros_like(x).index_add(0, places, y)
        return x.index_select(0, places), added, x.gather(0, places[:, None]), F.embedding(places, x)

    examples = {"x": x, "y": y, "places": torch.zeros_like(places)}
    found = [torch.empty_like(each) for each in program(*examples.values())]
    compiler = Compiler()
    names = [f"out{i}" for i in range(len(found))]
    outputs = [(name, tuple(each.shape), 0) for name, each in zip(names, found, strict=True)]
    function = compiler.function(program, examples, outputs)
    memory = {"x": x, "y": y, "places": places, **dict(zip(names, found, strict=True))}
    table = compiler.table({name: [tensor.data_ptr()] for name, tensor in memory.items()}, 1)
    jobs = Jobs(tables_JI=table, functions=[[function]], own={})
    steps_I = np.zeros(len(compiler.numbers), dtype=np.int64)
    Workers(jobs, 1).run(np.array([0]), 1, steps_I, np.zeros(1, dtype=np.uint8))
    return tuple(found)


@pytest.mark.parametrize("bad", [-1, 5, 2**40])
def test_an_index_outside_reads_and_writes_no_number_and_nothing_else(bad: int) -> None:
    places = torch.tensor([1, bad, 3])
    x, y = normal(5, 4), normal(3, 4, seed=1)
    selected, added, gathered, rows = outside(x, y, places)
    assert torch.equal(selected[[0, 2]], x[[1, 3]])
    assert selected[1].isnan().all()
    assert torch.equal(added[[1, 3]], y[[0, 2]])
    assert added[0].isnan().all()
    assert torch.equal(gathered[[0, 2], 0], x[[1, 3], 0])
    assert gathered[1, 0].isnan()
    assert torch.equal(rows.isnan(), selected.isnan())
