"""One pass of a few example inputs through a module, without a trace: for checks before training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.func import functional_call

from ravine import rng


def example_pass(
    module: nn.Module, input_shape: tuple[int, ...], training: bool, num_examples: int = 2
) -> object:
    """The output for some inputs, uniform in [0, 1).

    Args:
        module: left as it was: buffers, modes, and torch's generators too.
        input_shape: of one example.
        training: whether in training or in eval mode.
        num_examples: number of inputs.

    Returns:
        Whatever the module returns.

    Example:
        >>> example_pass(nn.Linear(4, 3), (4,), training=True).shape
        torch.Size([2, 3])
    """
    first = next(module.parameters(), torch.zeros(()))
    x = rng.uniform(rng.key(torch.arange(num_examples), "example").to(first.device), input_shape)
    x = x.to(torch.float64) if first.dtype == torch.float64 else x
    buffers = {name: b.clone() for name, b in module.named_buffers()}
    devices = [first.device] if first.device.type == "cuda" else []
    with _training(module, training), torch.random.fork_rng(devices), torch.no_grad():
        return functional_call(module, buffers, (x,))


@contextmanager
def _training(module: nn.Module, training: bool) -> Iterator[None]:
    before = {m: m.training for m in module.modules()}
    module.train(training)
    try:
        yield
    finally:
        for m, old in before.items():
            m.training = old
