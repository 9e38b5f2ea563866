"""How many runs fit into memory, asked before anything is allocated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ravine.data import Dataset
from ravine.dispatch import OperationMode
from ravine.engine.network import Network
from ravine.engine.objective import HESSIAN_ROWS
from ravine.free_memory import NUMBER_BYTES, free_bytes, run_bytes, too_large
from ravine.rules import shaped
from ravine.second.dense import require_room
from ravine.study import Run
from ravine.study.augment import num_views, techniques

# Numbers of a cohort whose rules search: on a CPU, and elsewhere.
_SEARCHING_NUMBERS = {True: 1 << 25, False: 1 << 30}
_PASSES = 6  # a backward pass over gradients takes so many times the activations for each row of a Hessian
_SHARE = 0.5  # share of the free memory for the numbers of a cohort: activations and copies need room, too


def most_runs(
    num_parameters: int,
    num_slots: int,
    device: torch.device,
    about: str,
    beside: int = 0,
    number_bytes: int = NUMBER_BYTES,
) -> int:
    """How many runs may be trained at once.

    Args:
        num_parameters: of the model.
        num_slots: of the rule with the most slots.
        device: where they are trained.
        about: what errors name first.
        beside: bytes of a run beside these.
        number_bytes: of one of its numbers.

    Raises:
        TooLarge: not even one run fits.
    """
    needed, free = run_bytes(num_parameters, num_slots, number_bytes) + beside, free_bytes(device)
    if needed > free:
        raise too_large(about, num_parameters, needed, free)
    return max(1, int(min(_SHARE * free / max(needed, 1), 1e9)))


def room_to_search(
    runs: Sequence[Run],
    network: Network,
    shape: Sequence[int],
    device: torch.device,
    *,
    traced: bool = True,
    num_averages: int = 0,
    beside: int = 0,
) -> tuple[int, int]:
    """The slots of a run whose rule searches, and how many such runs may be trained at once.

    The state of such a rule is many times as large as the parameters, so all of its numbers bound a cohort.

    Args:
        runs: runs of one structure.
        network: their model.
        shape: of an example.
        device: where they are trained.
        traced: whether the step is traced: then the results of all passes for a Hessian are in memory at once.
        num_averages: how many averages of the weights are kept.
        beside: bytes of a run beside these.

    Returns:
        Slots, in multiples of the parameters, and the number of runs.

    Raises:
        ModelError: not even one run fits.
    """
    recipe, size, number_bytes = runs[0].recipe, network.layout.size, network.dtype.itemsize
    found = shaped(recipe.rule, recipe.hypers)
    search = found.search
    assert search is not None, "only for rules that search"
    if search.dense:
        about = f'rules: kind = "{recipe.rule}"'
        require_room(size, network.dtype, device, about, search.dense)
    slots = found.init(torch.empty((1, size), dtype=network.dtype, device="meta"))
    num_bytes = sum(slot.nbytes for slot in slots.values() if slot.dim() < 3 or not search.dense)
    num_slots = -(-num_bytes // (number_bytes * size)) + search.dense * size + num_averages
    passing = 0
    if search.hessian:
        rows = size if traced else min(HESSIAN_ROWS, size)
        passing = _PASSES * rows * recipe.batch_size * _activations(network, shape, device) // size
        needed, free = run_bytes(size, num_slots + passing, number_bytes), free_bytes(device)
        if needed > _SHARE * free:
            raise too_large(network.about, size, needed, free)
    most = most_runs(size, num_slots + passing, device, network.about, beside, number_bytes)
    numbers = _SEARCHING_NUMBERS[device.type == "cpu"]
    return num_slots, min(most, max(2, numbers // (size * num_slots)))


def batch_bytes(runs: Sequence[Run], data: Dataset) -> int:
    """Bytes of a batch that augmentation makes for a run, which shares it with none at worst; 0 where none is made."""
    recipe = runs[0].recipe
    if not techniques([run.recipe.hypers for run in runs]) or num_views(recipe.augment):
        return 0
    x_bytes: int = data.train.some([0]).nbytes
    return recipe.batch_size * (x_bytes + NUMBER_BYTES * (data.num_outputs + 2))


def _activations(network: Network, shape: Sequence[int], device: torch.device) -> int:
    """How many numbers the operations of one example's pass through a model produce."""
    num, module = 2, network.module
    module.eval()
    try:
        with torch.no_grad(), _Count() as count:
            module(torch.zeros((num, *shape), dtype=network.dtype, device=device))
    finally:
        module.train()
    numbers: int = count.numbers
    return numbers // num


class _Count(OperationMode):
    """Adds up the numbers of all results."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: int = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.numbers += result.numel()
        return result
