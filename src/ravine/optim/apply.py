"""One step of a rule on a list of parameters: the one place where `ravine.optim` does arithmetic.

Three ways, chosen by what the tensors are, with the same results to rounding:

- machine code that passes once over parameter, gradient and state, for float32 tensors in the processor's memory;
- PyTorch's `_foreach` kernels (`ravine.optim.lists`), for all other elementwise rules;
- tensor by tensor, for rules that need a parameter's shape (max-norm, Muon).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from ravine.native.split import Split
from ravine.native.tensors import Unsupported
from ravine.native.vectors import OverVectors
from ravine.optim.lists import OverLists
from ravine.optim.members import Members
from ravine.rules import Rule
from ravine.rules.averages import moved


def share_of(i: int) -> str:
    """What the slot of an average is called, and the share of the weights in it: whatever its decay, the same code."""
    return f"average {i}"


@final
class Stepper:
    """A rule's step, made once.

    Args:
        rule: the rule with its regularizers.
        maximize: whether to climb instead of to descend.
        about: what errors name.
        num_averages: how many averages of the weights are kept, in slots after the rule's: `share_of` names each.
    """

    def __init__(self, rule: Rule, *, maximize: bool, num_averages: int, about: str) -> None:
        self._rule, self._maximize, self._about = rule, maximize, about
        self._averages = [share_of(i) for i in range(num_averages)]
        state = rule.init(torch.zeros(1, dtype=torch.float32, device="cpu"))
        self._slots = [name for name, slot in state.items() if slot.dim()]
        self._totals = [name for name, slot in state.items() if not slot.dim()]
        self._numbers = [*rule.hypers, *self._averages, "t", *self._totals]

    def __call__(
        self, members: Members, grads: Sequence[Tensor], numbers: Mapping[str, float]
    ) -> Mapping[str, float]:
        """Carry it out, in place; the count of steps is left alone.

        Args:
            members: parameters and state.
            grads: their gradients.
            numbers: by name the rule's hypers, the share of each average, t, which counts from 1, and the slots of
                the rule that are one number.

        Returns:
            The new values of those slots.

        Raises:
            RuntimeError: a gradient is sparse.
        """
        slots = dict(zip((*self._slots, *self._averages), members.slots.values(), strict=True))
        vectors = {"param": members.numbers, "grad": grads, **slots}
        element = self._rule.scope == "element" and self._program is not None
        if element and members.plain(grads) and self._machine_code is not None:
            totals = self._machine_code(vectors, numbers)
            # So that autograd refuses a graph that needs the old numbers, as after any other change in place.
            torch.autograd.graph.increment_version(members.tensors)
            return totals
        if any(grad.layout is not torch.strided for grad in grads):
            raise RuntimeError(
                f"{self._about} does not support sparse gradients; use a dense one (nn.Embedding(sparse=False)) or "
                "torch.optim.SparseAdam"
            )
        with torch.no_grad():
            if element:
                return self._over_lists(vectors, numbers)
            return self._one_by_one(members, grads, slots, numbers)

    def _one_by_one(
        self,
        members: Members,
        grads: Sequence[Tensor],
        slots: Mapping[str, Sequence[Tensor]],
        numbers: Mapping[str, float],
    ) -> Mapping[str, float]:
        # A 0-d tensor on the CPU goes together with tensors on any device, and leaves their dtype alone.
        exact = {
            name: torch.tensor(numbers[name], dtype=torch.float64, device="cpu") for name in self._numbers
        }
        for i, (param, grad) in enumerate(zip(members.numbers, grads, strict=True)):
            given = [param, grad, *(tensors[i] for tensors in slots.values())]
            if members.params[i].ndim < 2:  # complex or not: two real numbers each are no second dimension
                given = [tensor.flatten() for tensor in given]
            new, totals = self._update(given[0], given[1], dict(zip(slots, given[2:], strict=True)), exact)
            for tensor, value in zip((param, *(own[i] for own in slots.values())), new, strict=True):
                tensor.copy_(value.view_as(tensor))
        return {name: float(value) for name, value in zip(self._totals, totals, strict=True)}

    def _update(
        self, param: Tensor, grad: Tensor, slots: Mapping[str, Tensor], numbers: Mapping[str, Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The new parameter and slots, and the new values of the slots that are one number."""
        state = {name: slots[name] for name in self._slots} | {name: numbers[name] for name in self._totals}
        step, new = self._rule.update(-grad if self._maximize else grad, state, param, numbers, numbers["t"])
        after = param + step
        new = {**new, **moved(self._rule, self._averages, after, {**slots, **new}, numbers)}
        vectors = [new[name] for name in (*self._slots, *self._averages)]
        return [after, *vectors], [new[name] for name in self._totals]

    @cached_property
    def _program(self) -> Split | None:
        """The step as a function of one weight; None where it cannot be written as one."""
        slots = [*self._slots, *self._averages]

        def program(param: Tensor, grad: Tensor, *rest: Tensor) -> Sequence[Tensor]:
            own = dict(zip(slots, rest, strict=False))
            moved, totals = self._update(
                param, grad, own, dict(zip(self._numbers, rest[len(slots) :], strict=True))
            )
            return [*moved, *totals]

        try:
            return Split(program, ["param", "grad", *slots], self._numbers, ["param", *slots, *self._totals])
        except Unsupported:
            return None

    @cached_property
    def _machine_code(self) -> OverVectors | None:
        """The step as machine code; None where none can be made."""
        assert self._program is not None, "asked for only where there is one"
        try:
            return OverVectors(self._program)
        except Unsupported:
            return None

    @cached_property
    def _over_lists(self) -> OverLists:
        assert self._program is not None, "asked for only where there is one"
        return OverLists(self._program)
