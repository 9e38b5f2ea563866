"""Denormal numbers are 0 where that is asked for, on all threads, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ravine.native.compiler import Compiler, rows_of
from ravine.native.denormals import flushed
from ravine.native.workers import Jobs, Workers

TINY = 1e-40  # a denormal number of float32


def _halved(num: int = 400_000) -> Tensor:
    return torch.full((num,), TINY) * 0.5


def test_pytorchs_threads_flush_within_and_not_afterwards() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with flushed():
            assert (_halved() == 0.0).all()
            with flushed():
                assert (_halved() == 0.0).all()
            assert (_halved() == 0.0).all()
        assert (_halved() > 0.0).all()
        with flushed(wanted=False):
            assert (_halved() > 0.0).all()
        with pytest.raises(ValueError, match="inside"), flushed():
            raise ValueError("inside")
        assert (_halved() > 0.0).all()
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("flushes", [False, True])
def test_machine_code_flushes_where_its_jobs_say_so(flushes: bool) -> None:
    compiler = Compiler()
    function = compiler.function(lambda x: (x * 0.5,), {"x": torch.ones(1, 3)}, [("out", (1, 3), 0)])
    x_J3 = torch.tensor([[TINY, 1.0, -TINY], [2.0, TINY, 1e-37]])
    out_J3 = torch.full((2, 3), float("nan"))
    table = compiler.table({"x": rows_of(x_J3), "out": rows_of(out_J3)}, 2)
    jobs = Jobs(tables_JI=table, functions=[[function]] * 2, own={}, flushes=flushes)
    still_I = np.zeros(len(compiler.numbers), dtype=np.int64)
    Workers(jobs, 2).run(np.arange(2), 1, still_I, np.zeros(2, dtype=np.uint8))
    small = 0.0 if flushes else 5e-41
    np.testing.assert_allclose(out_J3, [[small, 0.5, -small], [1.0, small, 5e-38]], rtol=1e-4, atol=1e-45)
    assert (_halved() > 0.0).all()
