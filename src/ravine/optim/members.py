"""Parameters that take the same step: found once, then only compared with what was found.

A network has a hundred parameters, and what Python does for each of them at every step would cost more than the
arithmetic. So what does not change is remembered: the lists of parameters and state, and whether machine code can take
them. Machine code gets addresses; so before each step, all that it reads or writes is compared with what was
remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from operator import attrgetter, is_
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

State = Mapping[Tensor, dict[str, Any]]

_dtype_of = attrgetter("dtype")
_IS_SET_TO = Tensor.is_set_to


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """Some parameters of a group.

    Args:
        params: parameters with a gradient, of one dtype and device and with equally many steps, that do not overlap.
        states: torch.optim's state of each parameter.
        tensors: the parameters, detached.
        numbers: the same, complex ones as pairs of numbers.
        own: by key of a state its tensors, the very objects in the states.
        kept: the same tensors as they were when they were found, detached.
        slots: the same, complex ones as pairs of numbers.
        steps: the count of steps of each parameter: elements of `counts`.
        counts: float32, equal for all parameters; in NumPy, which fills an array ten times as fast as PyTorch.
        totals: by key the other numbers of a state, likewise in float64.
        of_totals: by key the elements of `totals`, the very objects in the states.
        decayed: whether weight decay and L1 apply.
        strides: of each parameter, where machine code can take parameters and state; None: it cannot.
        sizes: the number of elements of each parameter.
        inference: whether any of them was made in `torch.inference_mode`.
    """

    params: Sequence[Tensor]
    states: Sequence[dict[str, Any]]
    tensors: Sequence[Tensor]
    numbers: Sequence[Tensor]
    own: Mapping[str, Sequence[Tensor]]
    kept: Mapping[str, Sequence[Tensor]]
    slots: Mapping[str, Sequence[Tensor]]
    steps: Sequence[Tensor]
    counts: np.ndarray
    totals: Mapping[str, np.ndarray]
    of_totals: Mapping[str, Sequence[Tensor]]
    decayed: bool
    strides: list[tuple[int, ...]] | None
    sizes: list[int]
    inference: bool

    @classmethod
    def of(
        cls,
        params: Sequence[Tensor],
        states: Sequence[dict[str, Any]],
        keys: Sequence[str],
        numbers: Sequence[str],
        decayed: bool,
    ) -> Members:
        """The members of these parameters.

        Args:
            params: the parameters.
            states: torch.optim's state of each, with all of the keys.
            keys: of the tensors of a state.
            numbers: keys of the numbers of a state, besides "step".
            decayed: whether weight decay and L1 apply.
        """
        counts = _column([own["step"] for own in states], torch.float32)
        totals = {name: _column([own[name] for own in states], torch.float64) for name in numbers}
        for i, own in enumerate(states):
            own["step"] = counts[i]
            own.update({name: tensor[i] for name, tensor in totals.items()})
        tensors = [param.detach() for param in params]
        own_numbers = [as_real(tensor) for tensor in tensors]
        kept = {key: [own[key].detach() for own in states] for key in keys}
        slots = {key: [as_real(tensor) for tensor in found] for key, found in kept.items()}
        plain = all(
            _dense(tensor) and tensor.dtype == torch.float32 and tensor.device.type == "cpu"
            for tensor in own_numbers
        ) and all(
            tensor.stride() == number.stride() and not tensor.is_neg()
            for found in slots.values()
            for number, tensor in zip(own_numbers, found, strict=True)
        )
        return cls(
            params=params,
            states=states,
            tensors=tensors,
            numbers=own_numbers,
            own={key: [own[key] for own in states] for key in keys},
            kept=kept,
            slots=slots,
            steps=[own["step"] for own in states],
            counts=counts.numpy(),
            totals={name: tensor.numpy() for name, tensor in totals.items()},
            of_totals={name: [own[name] for own in states] for name in numbers},
            decayed=decayed,
            strides=[param.stride() for param in own_numbers] if plain else None,
            sizes=[param.numel() for param in own_numbers],
            inference=any(tensor.is_inference() for tensor in chain(tensors, *kept.values())),
        )

    def still(self, state: State, keys: Sequence[str]) -> bool:
        """Whether the parameters' memory and their states are still those that were found.

        Args:
            state: the optimizer's.
            keys: of the tensors of a state.
        """
        if not all(map(is_, map(state.get, self.params), self.states)):
            return False
        # The same memory, and as large as it was.
        if not all(map(_IS_SET_TO, self.params, self.tensors)) or not self._counts_alike():
            return False
        for key in keys:
            now, own = [state.get(key) for state in self.states], self.own[key]
            if not all(map(is_, now, own)) or not all(map(_IS_SET_TO, own, self.kept[key])):
                return False
        # A view of another dtype is set to the same memory.
        all_of_them = chain(self.params, *[self.own[key] for key in keys])
        return set(map(_dtype_of, all_of_them)) == {self.tensors[0].dtype}

    def _counts_alike(self) -> bool:
        """Whether the numbers of all states are still those of `counts` and `totals`, and equal."""
        if not all(map(is_, [own.get("step") for own in self.states], self.steps)):
            return False
        for name, elements in self.of_totals.items():
            if not all(map(is_, [own.get(name) for own in self.states], elements)):
                return False
        return all(bool((each == each[0]).all()) for each in (self.counts, *self.totals.values()))

    def stepped(self, totals: Mapping[str, float]) -> None:
        """Count a step, and write the new values of the other numbers."""
        self.counts.fill(float(self.counts[0]) + 1.0)
        for name, value in totals.items():
            self.totals[name].fill(value)

    @property
    def gradients(self) -> list[Tensor]:
        """The gradients of the parameters, complex ones as pairs of numbers."""
        grads: list[Any] = [param.grad for param in self.params]
        return list(map(as_real, grads)) if self.tensors[0].is_complex() else grads

    def plain(self, grads: Sequence[Tensor]) -> bool:
        """Whether machine code can take the parameters with these gradients."""
        if self.strides is None:
            return False
        try:
            return (
                list(map(Tensor.stride, grads)) == self.strides
                and list(map(Tensor.numel, grads)) == self.sizes
                and set(map(_dtype_of, grads)) == {torch.float32}
                and not any(map(Tensor.is_neg, grads))  # whose memory has the numbers without their sign
            )
        except NotImplementedError:  # a sparse one has no strides
            return False


def as_real(tensor: Tensor) -> Tensor:
    """A tensor of complex numbers as pairs of real ones, as in torch.optim; any other as it is."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def apart(params: Iterable[Tensor]) -> list[int]:
    """A group number for each parameter; parameters in the same group do not overlap in memory.

    Groups take their steps one after another, so parameters that share memory do so in their order, as in torch.optim.

    Example:
        >>> base = torch.zeros(6)
        >>> apart([base[:3], base[3:], base[2:4], base])
        [0, 0, 1, 2]
    """
    spans = [_span(param) for param in params]
    by_place = sorted(spans)
    if all(first[:2] != second[:2] or first[3] <= second[2] for first, second in pairwise(by_place)):
        return [0] * len(spans)
    taken: list[list[tuple[str, int, int, int]]] = []
    found = []
    for span in spans:
        number = next(
            (i for i, others in enumerate(taken) if not any(_meet(span, each) for each in others)), None
        )
        if number is None:
            number = len(taken)
            taken.append([])
        taken[number].append(span)
        found.append(number)
    return found


def _span(tensor: Tensor) -> tuple[str, int, int, int]:
    """A tensor's device, the address of its first byte and the address after its last one."""
    device = tensor.device.type, tensor.device.index or 0
    if not tensor.numel():
        return *device, 0, 0
    start = tensor.data_ptr()
    reach = sum((side - 1) * step for side, step in zip(tensor.shape, tensor.stride(), strict=True))
    return *device, start, start + (reach + 1) * tensor.element_size()


def _meet(first: tuple[str, int, int, int], second: tuple[str, int, int, int]) -> bool:
    return first[:2] == second[:2] and first[2] < second[3] and second[2] < first[3]


def _column(values: Sequence[Any], dtype: torch.dtype) -> Tensor:
    # With explicit dtype and device: with a default dtype of bfloat16, say, counts would end at 256.
    return torch.tensor([float(value) for value in values], dtype=dtype, device="cpu")


def _dense(tensor: Tensor) -> bool:
    if tensor.is_contiguous():
        return True
    return tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
