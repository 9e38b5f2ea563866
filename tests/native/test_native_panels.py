"""The products of one batch with the weights of several runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ravine.native.compiler import Compiler, rows_of
from ravine.native.panels import Panels
from ravine.native.workers import Jobs, Workers

NAMES = ("x", "rows", "block", "weights", "product", "slopes", "grads")
OFFSET = 16  # of the weights in a run's numbers


def _products(tensors: dict[str, Tensor], shape: tuple[int, int, int], num: int) -> None:
    """Fill in "product" and "grads" of the first runs."""
    compiler, (examples, width, rows) = Compiler(), shape
    number = {name: compiler.number(name) for name in NAMES}
    panels = Panels(
        examples=examples, width=width, rows=rows, offset=OFFSET, batch=number.pop("rows"), **number
    )
    starts = {name: rows_of(tensor) for name, tensor in tensors.items()}
    starts |= {name: [tensors[name].data_ptr()] * num for name in ("x", "rows")}
    table = compiler.table({name: found[:num] for name, found in starts.items()}, num)
    rounds = [(panels.forward(), 0), (panels.backward(), 0)]
    own = {panels.block: panels.block_bytes}
    jobs = Jobs(tables_JI=table, functions=[[]] * num, own=own, rounds=rounds)
    still, stopped = np.zeros(len(NAMES), dtype=np.int64), np.zeros(num, dtype=np.uint8)
    Workers(jobs, 1, most=num).run(np.arange(num), 1, still, stopped, np.array([num]))


@pytest.mark.parametrize(
    "shape", [(64, 48, 10), (1, 5, 1), (33, 33, 3), (70, 90, 29), (130, 100, 2)], ids=str
)
def test_products_of_a_batch_are_sums_in_order_whatever_runs_there_are(shape: tuple[int, int, int]) -> None:
    (examples, width, rows), draw = shape, torch.Generator().manual_seed(0)
    num_numbers = OFFSET + rows * width
    tensors = {
        "x": torch.randn(150, width, generator=draw),
        "rows": torch.randperm(150, generator=draw)[:examples],
        "weights": torch.randn(3, num_numbers, generator=draw),
        "slopes": torch.randn(3, examples, rows, generator=draw),
        "product": torch.full((3, rows, examples), torch.nan),
        "grads": torch.full((3, num_numbers), torch.nan),
    }
    _products(tensors, shape, 3)
    batch = tensors["x"][tensors["rows"]].double()
    weights, grads = (tensors[name][:, OFFSET:].view(3, rows, width) for name in ("weights", "grads"))
    right = weights.double() @ batch.T
    # A sum of n products of float32 is wrong by less than n / 2^24 of the sum of their sizes.
    sizes = weights.double().abs() @ batch.abs().T
    assert ((tensors["product"] - right).abs() <= sizes * width * 2.0**-24).all()
    slopes = tensors["slopes"].double().mT
    sizes = slopes.abs() @ batch.abs()
    assert ((grads - slopes @ batch).abs() <= sizes * examples * 2.0**-24).all()
    assert tensors["grads"][:, :OFFSET].isnan().all()  # is not touched
    together = {name: tensors[name].clone() for name in ("product", "grads")}
    _products(tensors, shape, 1)
    for name, found in together.items():
        assert torch.equal(tensors[name][0].nan_to_num(), found[0].nan_to_num())
