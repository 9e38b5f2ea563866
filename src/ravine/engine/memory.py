"""Whether a model's runs fit into memory, asked before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ravine.engine.searching import ROWS
from ravine.errors import ModelError
from ravine.free_memory import free_bytes
from ravine.rules import shaped
from ravine.second.dense import require_room
from ravine.study import Run

if TYPE_CHECKING:
    from ravine.engine.network import Network

_NUMBER = 4  # bytes of a float32
_SEARCHING_NUMBERS = {
    True: 1 << 25,
    False: 1 << 30,
}  # of a cohort whose rules search, by whether on a processor
_PASSES = 6  # times its activations that a backward pass over gradients takes for each row of a Hessian
_SHARE = 0.5  # of the free memory that the numbers of a cohort may take: activations and copies need room too


class TooLarge(ModelError):
    """A model whose numbers do not fit into memory."""


def run_bytes(num_parameters: int, num_slots: int) -> int:
    """What the numbers of one run take at least: weights, gradients and slots of its rule, as float32."""
    return _NUMBER * num_parameters * (2 + num_slots)


def most_runs(num_parameters: int, num_slots: int, device: torch.device, about: str) -> int:
    """How many runs may be trained at once.

    Args:
        num_parameters: of the model.
        num_slots: of the rule that has most.
        device: where they are trained.
        about: what errors name.

    Raises:
        TooLarge: not even one.
    """
    needed, free = run_bytes(num_parameters, num_slots), free_bytes(device)
    if needed > free:
        raise too_large(about, num_parameters, needed, free)
    return max(1, int(min(_SHARE * free / max(needed, 1), 1e9)))


def room_to_search(
    runs: Sequence[Run], network: Network, shape: Sequence[int], device: torch.device, *, traced: bool = True
) -> tuple[int, int]:
    """Slots of a run whose rule looks for its steps, and how many runs may be trained at once.

    What such a rule keeps is many times its parameters, so a cohort is bounded by all of its numbers.

    Args:
        runs: of one structure.
        network: their model.
        shape: of an example.
        device: where they are trained.
        traced: whether the step is traced: that keeps what all passes for a Hessian make, and not of one at a time.

    Raises:
        ModelError: not even one.
    """
    recipe, size = runs[0].recipe, network.layout.size
    found = shaped(recipe.rule, recipe.hypers)
    if found.dense:
        about = f'rules: kind = "{recipe.rule}"'
        require_room(size, torch.float32, device, about, found.dense)
    slots = found.init(torch.empty((1, size), device="meta"))
    kept = sum(slot.nbytes for slot in slots.values() if slot.dim() < 3 or not found.dense)
    num_slots = -(-kept // (_NUMBER * size)) + found.dense * size
    passing = 0
    if found.hessian:
        rows = size if traced else min(ROWS, size)
        passing = _PASSES * rows * recipe.batch_size * _activations(network.module, shape, device) // size
        needed, free = run_bytes(size, num_slots + passing), free_bytes(device)
        if needed > _SHARE * free:
            raise too_large(network.about, size, needed, free)
    most = most_runs(size, num_slots + passing, device, network.about)
    numbers = _SEARCHING_NUMBERS[device.type == "cpu"]
    return num_slots, min(most, max(2, numbers // (size * num_slots)))


def _activations(module: nn.Module, shape: Sequence[int], device: torch.device) -> int:
    """Numbers that one example's pass through a module makes."""
    num = 2
    module.eval()
    try:
        with torch.no_grad(), _Count() as count:
            module(torch.zeros((num, *shape), device=device))
    finally:
        module.train()
    numbers: int = count.numbers
    return numbers // num


def too_large(about: str, num_parameters: int, needed: float, free: float) -> TooLarge:
    """The error that says what is needed and what there is."""
    return TooLarge(
        f"{about}: {num_parameters:,} parameters: a run needs at least {gib(needed)} of memory, {gib(free)} "
        "are free; make the model smaller"
    )


def gib(size: float) -> str:
    """A size for reading.

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
        about: what the error names.

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
def told(about: str, num_runs: int | None = None) -> Iterator[None]:
    """Within it, memory that runs out is the user's error, in one line, and not a traceback.

    Args:
        about: what the error names.
        num_runs: how many are trained at once; None while that is being planned.

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
    """More numbers were asked for than there is memory."""

    def __init__(self, numbers: int) -> None:
        super().__init__(f"{numbers:,} numbers")
        self.numbers = numbers


class _Count(TorchDispatchMode):
    """Adds up the numbers of all results."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.numbers: int = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch would import all of its compiler here (0.9 s) only to tell it to stay away."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.numbers += result.numel()
        return result


class _Watch(TorchDispatchMode):
    """Adds up the tensors that are made out of nothing, and stops before one that would not fit."""

    def __init__(self, free: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._left = free / run_bytes(1, 0)
        self._numbers = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch would import all of its compiler here (0.9 s) only to tell it to stay away."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if args and isinstance(args[0], list | tuple) and all(isinstance(side, int) for side in args[0]):
            self._numbers += math.prod(args[0])
            if self._numbers > self._left:
                raise _Refused(self._numbers)
        return func(*args, **(kwargs or {}))


def _counted(make: Callable[[], nn.Module], at_least: int) -> int:
    """Parameters of a module that is built without memory, where its code can be."""
    try:
        with torch.device("meta"):
            return sum(p.numel() for p in make().parameters())
    except Exception:  # noqa: BLE001 (a user's code need not work there: then what it asked for is told)
        return at_least
