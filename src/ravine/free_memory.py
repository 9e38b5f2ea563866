"""How much memory is free, how much a model takes, and the error where that is too much."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ravine.dispatch import OperationMode
from ravine.errors import ModelError
from ravine.host_memory import host_bytes

NUMBER_BYTES = 4  # bytes of a float32


class TooLarge(ModelError):
    """A model that does not fit into memory."""


def run_bytes(num_parameters: int, num_slots: int, number_bytes: int = NUMBER_BYTES) -> int:
    """Bytes that one run takes at least: weights, gradients and slots of its rule, of so many bytes a number."""
    return number_bytes * num_parameters * (2 + num_slots)


def free_bytes(device: torch.device) -> float:
    """Bytes of free memory: a GPU's own, else what `host_bytes` finds."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    return host_bytes()


def too_large(about: str, num_parameters: int, needed: float, free: float) -> TooLarge:
    """The error that says how much is needed and how much is free.

    Args:
        about: what it names first.
        num_parameters: of the model.
        needed: bytes of one run.
        free: bytes that there are.
    """
    return TooLarge(
        f"{about}: {num_parameters:,} parameters: a run needs at least {gib(needed)} of memory, {gib(free)} "
        "are free; make the model smaller"
    )


def gib(size: float) -> str:
    """A number of bytes for people.

    Example:
        >>> gib(3 * 2**30), gib(5e6), gib(2000)
        ('3.0 GiB', '4.8 MiB', '2.0 KiB')
    """
    if size < 2**20:
        return f"{size / 2**10:.1f} KiB"
    return f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"


def built(make: Callable[[], nn.Module], about: str) -> nn.Module:
    """A new module, unless it is too large for this machine: then nothing of that size is allocated.

    Args:
        make: builds it.
        about: what the error names first.

    Raises:
        TooLarge: its weights and gradients do not fit.
    """
    free = free_bytes(torch.device("cpu"))
    try:
        with _Watch(free):
            return make()
    except _Refused as refused:
        num_parameters = _counted(make, refused.numbers)
        raise too_large(about, num_parameters, run_bytes(num_parameters, 0), free) from None


@contextmanager
def memory_errors(about: str, num_runs: int | None = None) -> Iterator[None]:
    """Within it, running out of memory is an error of one line, not a traceback.

    Args:
        about: what the error names.
        num_runs: runs that are trained at once; None while that is being planned.

    Raises:
        TooLarge: memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "can't allocate" not in str(error):
            raise
        runs = "in planning" if num_runs is None else "with a single run"
        if num_runs is not None and num_runs > 1:
            runs = f'with {num_runs} runs at once; backend "serial" trains one after another'
        raise TooLarge(f"{about}: memory ran out {runs}") from error


class _Refused(ModelError):
    """More numbers were asked for than fit into memory."""

    def __init__(self, numbers: int) -> None:
        super().__init__(f"{numbers:,} numbers")
        self.numbers = numbers


class _Watch(OperationMode):
    """Counts the numbers of newly created tensors, and stops before one that would not fit."""

    def __init__(self, free: float) -> None:
        super().__init__()
        self._left = free / run_bytes(1, 0)
        self._numbers = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if args and isinstance(args[0], list | tuple) and all(isinstance(side, int) for side in args[0]):
            self._numbers += math.prod(args[0])
            if self._numbers > self._left:
                raise _Refused(self._numbers)
        return func(*args, **(kwargs or {}))


def _counted(make: Callable[[], nn.Module], at_least: int) -> int:
    """The number of parameters of a module, found by building it on the meta device; else ``at_least``."""
    try:
        with torch.device("meta"):
            return sum(p.numel() for p in make().parameters())
    except Exception:  # noqa: BLE001 (a user's code need not work there; then what it asked for counts)
        return at_least
