"""One step of a rule on a list of parameters: the one place where `ravine.optim` does arithmetic.

Three ways, chosen by what the tensors are, with the same results to rounding:

- machine code that goes once over parameter, gradient and state, for float32 in a processor's memory;
- PyTorch's `_foreach` kernels, for everything else that is element by element;
- tensor by tensor, for what needs a parameter's shape (max-norm).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor

from ravine.native.tensors import Unsupported
from ravine.native.vectors import OverVectors
from ravine.optim.bundle import Bundle
from ravine.optim.members import Members
from ravine.rules import Rule
from ravine.trace import Untraceable

EMA = "ema"
_PORTION = 1 << 17  # numbers


@final
class Stepper:
    """A rule's step, made once.

    Args:
        rule: with its regularizers.
        maximize: climb.
        ema: keep an exponential moving average of the parameters in the slot "ema".
    """

    def __init__(self, rule: Rule, *, maximize: bool, ema: bool) -> None:
        self._rule, self._maximize, self._ema = rule, maximize, ema
        state = rule.init(torch.zeros(1))
        self._slots = [name for name, slot in state.items() if slot.dim()]
        self._totals = [name for name, slot in state.items() if not slot.dim()]
        self._numbers = [*rule.hypers, *([EMA] if ema else []), "t", *self._totals]
        self._code: OverVectors | None = None
        self._no_code = rule.scope != "element"

    def __call__(
        self, members: Members, grads: Sequence[Tensor], numbers: Mapping[str, float]
    ) -> Mapping[str, float]:
        """Carry it out, in place; the count of steps is left alone.

        Args:
            members: parameters and state.
            grads: their gradients.
            numbers: the rule's hypers, "ema" if it is kept, t, which counts from 1, and those slots of the rule that
                are one number.

        Returns:
            The new values of those slots.
        """
        slots = dict(zip((*self._slots, EMA), members.slots.values(), strict=False))
        if self._by_machine(members, grads):
            assert self._code is not None, "it has just been made"
            return self._code({"param": members.numbers, "grad": grads, **slots}, numbers)
        exact = {name: torch.tensor(numbers[name], dtype=torch.float64) for name in self._numbers}
        if self._rule.scope == "element":
            for params, slopes, *rest in _portions([members.numbers, grads, *slots.values()]):
                bundles = {name: Bundle(tensors) for name, tensors in zip(slots, rest, strict=True)}
                new, totals = self._update(Bundle(params), Bundle(slopes), bundles, exact)
                for old, value in zip((params, *rest), new, strict=True):
                    torch._foreach_copy_(old, value.tensors)
        else:
            for i, (param, grad) in enumerate(zip(members.numbers, grads, strict=True)):
                own = {name: tensors[i] for name, tensors in slots.items()}
                given = [param, grad, *own.values()]
                if (
                    members.params[i].ndim < 2
                ):  # complex or not: two real numbers each are no second dimension
                    given = [tensor.flatten() for tensor in given]
                # A 0-d tensor on a processor joins in with tensors of any device, and leaves their dtype alone.
                state = dict(zip(own, given[2:], strict=True))
                new, totals = self._update(given[0], given[1], state, exact)
                for tensor, value in zip((param, *own.values()), new, strict=True):
                    tensor.copy_(value.view_as(tensor))
        return {name: float(value) for name, value in zip(self._totals, totals, strict=True)}

    def _update(
        self, param: Any, grad: Any, slots: Mapping[str, Any], numbers: Mapping[str, Tensor]
    ) -> tuple[list[Any], list[Tensor]]:
        """New parameter and slots, of tensors or bundles, and the slots that are one number."""
        state = {name: slots[name] for name in self._slots} | {name: numbers[name] for name in self._totals}
        step, new = self._rule.update(-grad if self._maximize else grad, state, param, numbers, numbers["t"])
        after = param + step
        average = [slots[EMA].lerp(after, 1.0 - numbers[EMA])] if self._ema else []
        moved = [after, *(new[name] for name in self._slots), *average]
        return moved, [new[name] for name in self._totals]

    def _by_machine(self, members: Members, grads: Sequence[Tensor]) -> bool:
        """Whether machine code will do; makes it when it is first needed."""
        if self._no_code or torch.compiler.is_compiling() or not members.plain(grads):
            return False
        if self._code is None:
            slots = [*self._slots, *([EMA] if self._ema else [])]

            def program(param: Tensor, grad: Tensor, *rest: Tensor) -> Sequence[Tensor]:
                own = dict(zip(slots, rest, strict=False))
                numbers = dict(zip(self._numbers, rest[len(slots) :], strict=True))
                moved, totals = self._update(param, grad, own, numbers)
                return [*moved, *totals]

            names = ["param", *slots]
            try:
                self._code = OverVectors(
                    program, ["param", "grad", *slots], self._numbers, [*names, *self._totals]
                )
            except (Unsupported, Untraceable):
                self._no_code = True
        return not self._no_code


def _portions(lists: Sequence[Sequence[Tensor]]) -> Iterator[list[list[Tensor]]]:
    """Lists of tensors, a portion of each at a time: on a processor what is computed of it stays in the caches."""
    everything = [tensor for tensors in lists for tensor in tensors]
    if torch.compiler.is_compiling() or not all(
        tensor.is_contiguous() and tensor.device.type == "cpu" for tensor in everything
    ):
        yield [list(tensors) for tensors in lists]
        return
    cut = [[piece for tensor in tensors for piece in tensor.view(-1).split(_PORTION)] for tensors in lists]
    start, total = 0, 0
    for end, piece in enumerate(cut[0]):
        total += piece.numel()
        if end > start and total > _PORTION:
            yield [pieces[start:end] for pieces in cut]
            start, total = end, piece.numel()
    yield [pieces[start:] for pieces in cut]
