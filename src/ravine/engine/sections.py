"""Sections of a run's row: parameters side by side that a rule moves with the same numbers.

The parameters of a section have been trained in the same phases, and so for the same number of steps; where blocks have
learning rates of their own, they are of one block.

Shapes: G run of a segment, P numbers of one run, S section.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ravine.rules.base import Rule
from ravine.rules.muon import hidden
from ravine.tensors import Layout

Slots = dict[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Neighbouring numbers of a run's row.

    Args:
        start, stop: where they are.
        lag: steps of the run, before this phase, in which they were not trained.
        depth: how many blocks they are before the head; 0 where blocks do not count.
        layout: of these numbers.
    """

    start: int
    stop: int
    lag: int
    depth: int
    layout: Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Sections:
    """How the trained parameters of a model lie in a run's row.

    Args:
        layout: of all of them.
        each: in order; they cover the row.
        matrices: those that are weight matrices of hidden layers, by name.
        blocks: of all parameters of the model, how many blocks they are before the head.
    """

    layout: Layout
    each: tuple[Section, ...]
    matrices: frozenset[str]
    blocks: Mapping[str, int]

    @staticmethod
    def of(
        shapes: Mapping[str, tuple[int, ...]],
        blocks: Mapping[str, int],
        trained: Collection[str] | None = None,
        before: Sequence[tuple[Collection[str], int]] = (),
        *,
        layered: bool = False,
    ) -> Sections:
        """The sections of a model in a phase.

        Args:
            shapes: of its parameters that can be trained, by name, in order.
            blocks: of all of its parameters, how many blocks they are before the head.
            trained: names of those that are trained; None: all.
            before: of each earlier phase, the names of what it trained, and its number of steps.
            layered: whether blocks have learning rates of their own.
        """
        wanted = tuple(name for name in shapes if trained is None or name in trained)

        def kind(name: str) -> tuple[tuple[bool, ...], int]:
            return tuple(name in names for names, _ in before), blocks[name] if layered else 0

        kinds = list(dict.fromkeys(map(kind, wanted)))
        names = [name for each in kinds for name in wanted if kind(name) == each]
        found, start = [], 0
        for was, depth in kinds:
            own = Layout.of({name: shapes[name] for name in names if kind(name) == (was, depth)})
            lag = sum(steps for trained_then, (_, steps) in zip(was, before, strict=True) if not trained_then)
            found.append(Section(start=start, stop=start + own.size, lag=lag, depth=depth, layout=own))
            start += own.size
        return Sections(
            layout=Layout.of({name: shapes[name] for name in names}),
            each=tuple(found),
            matrices=hidden(tuple(shapes), tuple(shapes.values())),
            blocks=blocks,
        )

    def __len__(self) -> int:
        """How many there are."""
        return len(self.each)

    def rules(self, rule: Rule) -> dict[str, Rule]:
        """The rule of each parameter, by name."""
        if rule.others is None:
            return dict.fromkeys(self.layout.names, rule)
        return {name: rule if name in self.matrices else rule.others for name in self.layout.names}

    def one_each(self, slot: Tensor) -> bool:
        """Whether a slot is one number for each section, and not one for each number of a row."""
        return slot.shape[1] != self.layout.size

    def slots(self, number: int, slots: Slots) -> Slots:
        """The slots of one section, as views."""
        section = self.each[number]
        if len(self.each) == 1:
            return slots
        return {
            name: slot[:, number : number + 1]
            if self.one_each(slot)
            else slot[:, section.start : section.stop]
            for name, slot in slots.items()
        }

    def joined(self, rows_GP: Tensor, slots: Slots, of_one: Callable[[int, Tensor, Slots], Tensor]) -> Tensor:
        """What a function of the number, the parameters and the slots of a section finds for each, side by side.

        Args:
            rows_GP: parameters.
            slots: of these runs.
            of_one: ``(number, params, slots) -> (G, ...)``.
        """
        if len(self.each) == 1:
            return of_one(0, rows_GP, slots)
        return torch.cat(
            [
                of_one(i, rows_GP[:, section.start : section.stop], self.slots(i, slots))
                for i, section in enumerate(self.each)
            ],
            1,
        )
