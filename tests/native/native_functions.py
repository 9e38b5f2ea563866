"""What machine code makes of functions of tensors, beside PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ravine.native.compiler import Compiler
from ravine.native.workers import Jobs, Workers

Program = Callable[..., tuple[Tensor, ...]]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def run(program: Program, *given: Tensor) -> tuple[Tensor, ...]:
    """What machine code makes of tensors; those that it changes in place are changed."""
    wanted = program(*(tensor.clone() for tensor in given))
    compiler = Compiler()
    names = [f"in{i}" for i in range(len(given))]
    outputs = [torch.full(tuple(each.shape), 7.0) for each in wanted]
    function = compiler.function(
        program,
        {name: tensor.clone() for name, tensor in zip(names, given, strict=True)},
        [(f"out{i}", tuple(each.shape), 0) for i, each in enumerate(outputs)],
    )
    of_run = {name: [tensor.data_ptr()] for name, tensor in zip(names, given, strict=True)}
    of_run.update({f"out{i}": [each.data_ptr()] for i, each in enumerate(outputs)})
    jobs = Jobs(tables_JI=compiler.table(of_run, 1), functions=[[function]], own={})
    steps_I = np.zeros(len(compiler.numbers), dtype=np.int64)
    Workers(jobs, 1).run(np.array([0]), 1, steps_I, np.zeros(1, dtype=np.uint8))
    return tuple(outputs)


def agree(program: Program, *given: Tensor, tolerance: float = 1e-5) -> None:
    """Fails unless PyTorch and machine code return and leave behind the same; float32, sums in another order."""
    theirs = [tensor.clone() for tensor in given]
    expected = program(*theirs)
    ours = [tensor.clone() for tensor in given]
    for mine, other in zip(run(program, *ours), expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=tolerance, atol=tolerance)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=tolerance, atol=tolerance)
