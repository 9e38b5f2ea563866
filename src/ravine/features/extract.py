"""Carries examples through a frozen network, once, on all cores.

Every batch has the same shape, the last one filled up, and is the work of one thread: so the bits of an example's
features depend on the network and the example alone.

Shapes: N example, B batch, D feature.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ravine.data import Examples

_BATCH = 64
_NUMBERS = _BATCH * 3 * 128 * 128  # of a batch's input, at most

Floats = npt.NDArray[np.floating[Any]]
Rows = npt.NDArray[np.int64]


def batch_size(shape: tuple[int, ...]) -> int:
    """How many examples of a shape make a batch: 64, of large pictures fewer.

    Example:
        >>> batch_size((3, 96, 96)), batch_size((3, 224, 224))
        (64, 16)
    """
    most = max(1, _NUMBERS // max(1, math.prod(shape)))
    return min(_BATCH, 1 << (most.bit_length() - 1))


def extract(
    network: Callable[[Tensor], Tensor],
    examples: Examples,
    device: torch.device,
    change: Callable[[Floats, Rows], Floats] | None = None,
) -> Iterator[tuple[slice, Floats]]:
    """What a frozen network makes of examples, batch by batch, in order.

    Args:
        network: in eval mode, (B, ...) -> (B, D); see `folded`. B is always the `batch_size` of the examples.
        examples: what it is given.
        device: of the network.
        change: what is done to a batch before, given the numbers of its examples, by several threads at once.

    Yields:
        Which examples, and what comes out for them, (n, ...).
    """
    size = batch_size(examples.shape)
    starts = range(0, len(examples), size)

    def of_batch(start: int) -> tuple[slice, Floats]:
        part = slice(start, min(start + size, len(examples)))
        rows = np.minimum(np.arange(start, start + size), part.stop - 1)
        x: Floats = examples.some(rows)
        if change is not None:
            x = change(x, rows)
        with torch.inference_mode():
            found = network(torch.tensor(x, device=device))
        return part, found[: part.stop - start].cpu().numpy()

    if device.type != "cpu":
        yield from map(of_batch, starts)
        return
    before = torch.get_num_threads()
    with ThreadPoolExecutor(before, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting = iter(starts)
        # Few batches ahead of whoever takes them: little waits in memory, and an end is soon.
        ahead = [pool.submit(of_batch, start) for start in islice(waiting, 2 * before)]
        try:
            while ahead:
                done = ahead.pop(0).result()
                ahead += [pool.submit(of_batch, start) for start in islice(waiting, 1)]
                yield done
        finally:
            for each in ahead:
                each.cancel()
            torch.set_num_threads(before)  # the workers have set it for the whole process
