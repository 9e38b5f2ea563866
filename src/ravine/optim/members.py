"""Parameters that take the same step, found once and then only looked over.

A network has a hundred parameters, and what Python does for each of them at every step would cost more than the
arithmetic. So what does not change is kept: the lists of parameters and state, and whether machine code can take them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

State = Mapping[Tensor, dict[str, Any]]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """Some parameters of a group.

    Args:
        params: with a gradient, of one dtype and device, that have had equally many steps.
        states: torch.optim's state of each.
        slots: for each key of a state its tensors; complex ones as pairs of numbers, as in `numbers`.
        tensors: the parameters, without autograd.
        numbers: the same; complex ones as pairs of numbers.
        steps: each one's count of steps, all of them elements of `counts`.
        counts: float32, equal for all of these parameters; NumPy's, which fills them ten times as fast as PyTorch.
        totals: for each other number of a state, the same in float64.
        decayed: whether weight decay and L1 apply.
        strides: of each parameter where machine code can take them and their state; None: it cannot.
    """

    params: Sequence[Tensor]
    states: Sequence[dict[str, Any]]
    slots: Mapping[str, Sequence[Tensor]]
    tensors: Sequence[Tensor]
    numbers: Sequence[Tensor]
    steps: Sequence[Tensor]
    counts: np.ndarray
    totals: Mapping[str, np.ndarray]
    decayed: bool
    strides: Sequence[tuple[int, ...]] | None

    @classmethod
    def of(
        cls,
        params: Sequence[Tensor],
        states: Sequence[dict[str, Any]],
        keys: Sequence[str],
        numbers: Sequence[str],
        decayed: bool,
    ) -> Members:
        """Parameters with their states, which have all of the keys, of tensors and of numbers."""
        counts = torch.tensor([float(own["step"]) for own in states])
        totals = {
            name: torch.tensor([float(own[name]) for own in states], dtype=torch.float64) for name in numbers
        }
        for i, own in enumerate(states):
            own["step"] = counts[i]
            own.update({name: tensor[i] for name, tensor in totals.items()})
        tensors = [param.detach() for param in params]
        own_numbers = [as_real(tensor) for tensor in tensors]
        slots = {key: [as_real(own[key]) for own in states] for key in keys}
        plain = all(
            _dense(param) and param.dtype == torch.float32 and param.device.type == "cpu"
            for param in own_numbers
        )
        plain = plain and all(
            (tensor.shape, tensor.stride(), tensor.dtype, tensor.device.type)
            == (param.shape, param.stride(), torch.float32, "cpu")
            for tensors in slots.values()
            for param, tensor in zip(own_numbers, tensors, strict=True)
        )
        return cls(
            params=params,
            states=states,
            slots=slots,
            tensors=tensors,
            numbers=own_numbers,
            steps=[own["step"] for own in states],
            counts=counts.numpy(),
            totals={name: tensor.numpy() for name, tensor in totals.items()},
            decayed=decayed,
            strides=[param.stride() for param in own_numbers] if plain else None,
        )

    def still(self, state: State, keys: Sequence[str]) -> bool:
        """Whether nobody has replaced a state, or what a parameter's numbers are, in the meantime."""
        for i, (param, own) in enumerate(zip(self.params, self.states, strict=True)):
            if state.get(param) is not own or own.get("step") is not self.steps[i]:
                return False
            # The same memory, and as large as it was: machine code is given addresses.
            if not param.is_set_to(self.tensors[i]) or param.dtype != self.tensors[i].dtype:
                return False
        if self.params[0].is_complex():
            return True
        for key in keys:
            for own, tensor in zip(self.states, self.slots[key], strict=True):
                if own.get(key) is not tensor:
                    return False
        return True

    def stepped(self, totals: Mapping[str, float]) -> None:
        """Count a step, and take in what the other numbers are now."""
        self.counts.fill(float(self.counts[0]) + 1.0)
        for name, value in totals.items():
            self.totals[name].fill(value)

    def plain(self, grads: Sequence[Tensor]) -> bool:
        """Whether machine code can take these gradients too."""
        return self.strides is not None and all(
            grad.stride() == stride
            and grad.dtype == torch.float32
            and grad.numel() == number.numel()
            and not grad.is_neg()  # whose memory holds the numbers without their sign
            for grad, number, stride in zip(grads, self.numbers, self.strides, strict=True)
        )


def as_real(tensor: Tensor) -> Tensor:
    """A complex number is two real ones, as in torch.optim."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _dense(tensor: Tensor) -> bool:
    if tensor.is_contiguous():
        return True
    return tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
