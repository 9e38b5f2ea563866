"""What runs begin with: initial weights of their seeds, or the ends of the runs that they go on from.

Shapes: R run of the cohort, G run of a segment, P numbers of one run, S section.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import final

import numpy as np
import torch
from torch import Tensor

from ravine.engine.cohort import Cohort
from ravine.engine.network import Network
from ravine.engine.records import Arrays
from ravine.engine.sections import Sections
from ravine.engine.state import State, averaged_slots, init_slots
from ravine.rules.base import DEPLOYED

_TRAINED, _SLOTS, _STEPS = "trained", "slots", "steps"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end of a run's phase, for the runs that go on from it.

    Args:
        weights: what is deployed of it, and buffers, by name.
        kept: the parameters where the rule trains another point than it deploys, as "trained/NAME", its slots, as
            "slots/SLOT/NAME", and as "steps" how many steps the run has had. A parameter that a later phase left alone
            is as it was when it was trained last.
    """

    weights: Arrays
    kept: Arrays

    def trained(self, name: str) -> np.ndarray | None:
        """A parameter where its rule trains it."""
        return self.kept.get(f"{_TRAINED}/{name}")

    def slot(self, slot: str, name: str) -> np.ndarray | None:
        """A slot of a parameter; None where it has never been trained."""
        return self.kept.get(f"{_SLOTS}/{slot}/{name}")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What a cohort begins with.

    Args:
        state: before its first step.
        fixed: every tensor of the model that is not trained, (R, ...) by name; one that is the same for all runs lies
            in memory once.
        origin: the weights that the models were made with, (P,) if they are the same for all runs, else (R, P); None:
            no run is pulled towards them.
        ends: of each run, the end that it goes on from, in order; () where the runs begin anew.
    """

    state: State
    fixed: dict[str, Tensor]
    origin: Tensor | None = None
    ends: tuple[End, ...] = field(default=(), repr=False)

    @staticmethod
    def of(
        cohort: Cohort, network: Network, device: torch.device, ends: Mapping[str, End] | None = None
    ) -> Beginning:
        """The beginning of a cohort.

        Args:
            cohort: the runs.
            network: their model.
            device: where they are trained.
            ends: by id of a run, the end that it goes on from; None: all begin with the weights that their seeds make.
        """
        with _one_thread(bool(network.name)):
            of_seed = {seed: network.initial(seed) for seed in cohort.seeds}
        found = tuple(ends[run.id] for run in cohort.runs) if ends is not None else ()
        seeds = [run.seed for run in cohort.runs]

        def at_first(name: str) -> list[Tensor]:
            """A tensor of each run: of runs that go on where the run before ended, if it had it."""
            own = [of_seed[seed][name] for seed in seeds]
            if found:
                own = [_tensor(end.weights.get(name), made) for end, made in zip(found, own, strict=True)]
            return own

        layout = network.layout
        params_RP = torch.zeros(len(seeds), layout.size, dtype=network.dtype)
        params = layout.views(params_RP)
        with _one_thread(bool(network.name)):
            for name, view in params.items():
                for row, made in enumerate(at_first(name)):
                    view[row] = made
        for segment in cohort.segments if found else ():
            if DEPLOYED in segment.rule.points:
                for row in range(segment.start, segment.stop):
                    for name in layout.names:
                        params[name][row] = _tensor(found[row].trained(name), params[name][row])
        params_RP = params_RP.to(device)
        buffers = {name: torch.stack(at_first(name)).to(device) for name in network.buffers}
        rates = network.rates([run.recipe.hypers for run in cohort.runs], device)
        slots = [init_slots(network.sections, params_RP, segment, cohort) for segment in cohort.segments]
        for segment, own in zip(cohort.segments, slots, strict=True):
            if found:
                _take_over(network.sections, own, found[segment.start : segment.stop])
        origin = None
        if any(segment.anchored for segment in cohort.segments):
            packed = {seed: layout.pack(made).to(device) for seed, made in of_seed.items()}
            first, *others = packed.values()
            same = all(torch.equal(first, other) for other in others)
            origin = first if same else torch.stack([packed[seed] for seed in seeds])
        return Beginning(
            state=State(
                params_RP=params_RP,
                slots=tuple(slots),
                buffers=buffers,
                averaged=averaged_slots(cohort, buffers),
            ),
            fixed={
                name: rates[name] if name in rates else shared(at_first(name), device)
                for name in network.fixed
            },
            origin=origin,
            ends=found,
        )


@contextmanager
def _one_thread(wanted: bool) -> Iterator[None]:
    """Within it PyTorch has one thread, if that is wanted: for hundreds of small copies others only wait, by spinning.

    Where a user's module is made, what it is made of may depend on the number of threads.
    """
    before = torch.get_num_threads()
    try:
        if wanted:
            torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(before)


def shared(tensors: Sequence[Tensor], device: torch.device) -> Tensor:
    """Tensors of runs side by side, (R, ...): in memory once where all are equal."""
    first, *others = tensors
    if others and all(other is first or torch.equal(other, first) for other in others):
        return first.to(device)[None].expand(len(tensors), *first.shape)
    return torch.stack(list(tensors)).to(device)


def end_of(
    cohort: Cohort, sections: Sections, state: State, rows: Sequence[int], ends: Sequence[End]
) -> Arrays:
    """What is kept of the ends of some runs beside their weights, (runs, ...) by name, as in `End`.

    A slot that a run's rule does not have is not a number there.

    Args:
        cohort: of the program.
        sections: of their parameters.
        state: at the end.
        rows: of the program.
        ends: those that these runs went on from; () where they began anew.
    """
    found: dict[str, dict[int, np.ndarray]] = {}
    for number, segment in enumerate(cohort.segments):
        own = {name: slot for name, slot in state.slots[number].items() if name not in segment.averages}
        for row in (row for row in rows if segment.start <= row < segment.stop):
            place = row - segment.start
            if DEPLOYED in segment.rule.points:
                for name, view in sections.layout.view_one(state.params_RP[row]).items():
                    found.setdefault(f"{_TRAINED}/{name}", {})[row] = _array(view)
            for i, section in enumerate(sections.each):
                for slot, tensor in sections.slots(i, own).items():
                    whole = section.layout.view_one(tensor[place]) if not sections.one_each(own[slot]) else {}
                    for name in section.layout.names:
                        value = whole[name] if whole else tensor[place, 0]
                        found.setdefault(f"{_SLOTS}/{slot}/{name}", {})[row] = _array(value)
    trained = set(sections.layout.names)
    for row, end in zip(rows, ends, strict=False):
        for key, array in end.kept.items():
            if key == _STEPS:
                continue
            name = (
                key.removeprefix(f"{_TRAINED}/") if key.startswith(f"{_TRAINED}/") else key.split("/", 2)[2]
            )
            if name not in trained:
                found.setdefault(key, {})[row] = array
    arrays = {key: _stacked([of_run.get(row) for row in rows]) for key, of_run in found.items()}
    done = np.full(len(rows), cohort.first_step + cohort.recipe.steps, dtype=np.int64)
    return {_STEPS: done, **arrays}


def _take_over(sections: Sections, slots: dict[str, Tensor], ends: Sequence[End]) -> None:
    """Put the slots of the runs before into those of a segment, in place, by name."""
    for i, section in enumerate(sections.each):
        for slot, tensor in sections.slots(i, slots).items():
            one = sections.one_each(slots[slot])
            for row, end in enumerate(ends):
                views = {} if one else section.layout.view_one(tensor[row])
                for name in section.layout.names:
                    before = end.slot(slot, name)
                    if before is not None and one:
                        tensor[row, 0] = float(before)
                    elif before is not None:
                        views[name].copy_(torch.from_numpy(np.asarray(before)))


def _tensor(array: np.ndarray | None, like: Tensor) -> Tensor:
    return like if array is None else torch.from_numpy(np.asarray(array)).to(like.dtype)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().copy()


def _stacked(arrays: Sequence[np.ndarray | None]) -> np.ndarray:
    like = next(array for array in arrays if array is not None)
    return np.stack([np.full_like(like, np.nan) if array is None else array for array in arrays])
