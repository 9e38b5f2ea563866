"""Carries examples through a frozen network, once, on all cores.

Every batch has the same shape, the last one filled up, and is the work of one thread: so the bits of an example's
features depend on nothing but the network and the example's place in the data.

Shapes: N example, B batch, D feature.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ravine.errors import ModelError
from ravine.features.fold import folded

_BATCH = 64
_NUMBERS = _BATCH * 3 * 128 * 128  # of a batch's input, at most

Floats = npt.NDArray[np.float32]
Raw = npt.NDArray[np.generic]


def batch_size(shape: tuple[int, ...]) -> int:
    """How many examples of a shape make a batch: 64, of large pictures fewer.

    Example:
        >>> batch_size((3, 96, 96)), batch_size((3, 224, 224))
        (64, 16)
    """
    most = max(1, _NUMBERS // max(1, math.prod(shape)))
    return min(_BATCH, 1 << (most.bit_length() - 1))


def extract(
    body: nn.Module, x: Raw, device: torch.device, as_input: Callable[[Raw], Tensor] | None = None
) -> Iterator[tuple[slice, Floats]]:
    """Features of examples, batch by batch, in order.

    Args:
        body: a network without its head, (B, ...) -> (B, D); it is evaluated, never trained.
        x: the examples, (N, ...).
        device: of the body.
        as_input: what makes the network's input of some of them; None: their numbers as float32.

    Yields:
        Which examples, and their features, (n, D).

    Raises:
        ModelError: the body does not return a vector of finite numbers for each example.
    """
    size = batch_size(x.shape[1:])
    starts = range(0, len(x), size)
    body.eval()
    network: Callable[[Tensor], Tensor] = body

    def of_batch(start: int) -> tuple[slice, Floats]:
        part = slice(start, min(start + size, len(x)))
        rows = np.minimum(np.arange(start, start + size), part.stop - 1)
        with torch.inference_mode():
            given = torch.tensor(x[rows]).float() if as_input is None else as_input(x[rows])
            found = network(given.to(device))
        if found.ndim != 2:
            shape = tuple(found.shape[1:])
            raise ModelError(
                f"model.cut: the network before it returns numbers of shape {shape} for an example; a head takes a "
                "vector of them: cut behind the pooling"
            )
        return part, found[: part.stop - start].cpu().numpy()

    if device.type != "cpu":
        yield from map(of_batch, starts)
        return
    if len(x):
        network, _ = folded(body, (size, *x.shape[1:]))
    before = torch.get_num_threads()
    with ThreadPoolExecutor(before, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            # Few batches ahead of whoever takes them, so that nothing waits in memory, and an end is soon.
            waiting = iter(starts)
            ahead = [pool.submit(of_batch, start) for start in islice(waiting, 2 * before)]
            while ahead:
                done = ahead.pop(0).result()
                ahead += [pool.submit(of_batch, start) for start in islice(waiting, 1)]
                yield done
        finally:
            for each in ahead:
                each.cancel()
            torch.set_num_threads(before)  # of this process, which the workers have set too
