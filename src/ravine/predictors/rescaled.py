"""A network that takes examples as another fold scaled them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ravine.errors import InputError

NETWORK = "network."
SCALES = ("factor", "shift", "out_factor", "out_shift")
"""The tensors of a `Rescaled` beside those of its network."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Change:
    """From the scales of one fold to those of another.

    Args:
        factor, shift: of an example's features.
        out_factor, out_shift: of the outputs, back again: a number, or one for each.
    """

    factor: Array
    shift: Array
    out_factor: float | tuple[float, ...] = 1.0
    out_shift: float | tuple[float, ...] = 0.0


@final
class Rescaled(nn.Module):
    """A network between two changes of scale: ``network(x factor + shift) out_factor + out_shift``.

    Args:
        network: takes examples as its own fold scaled them.
        change: to that, from the scales of the predictor's preparation.
    """

    factor: torch.Tensor
    shift: torch.Tensor
    out_factor: torch.Tensor
    out_shift: torch.Tensor

    def __init__(self, network: nn.Module, change: Change) -> None:
        super().__init__()
        self.network = network
        first = next(network.parameters())
        for name in SCALES:
            tensor = torch.tensor(getattr(change, name), device=first.device, dtype=first.dtype)
            self.register_buffer(name, tensor)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs in the units of the predictor's preparation."""
        found: torch.Tensor = self.network(x * self.factor + self.shift)
        return found * self.out_factor + self.out_shift


def change_in(
    tensors: Mapping[str, np.ndarray], shape: tuple[int, ...], num_outputs: int, where: str
) -> tuple[Change, dict[str, np.ndarray]]:
    """The change of scales that the tensors of a `Rescaled` have, and those of its network.

    Args:
        tensors: by name.
        shape: of one example.
        num_outputs: of the network.
        where: whose tensors these are, for errors.

    Raises:
        InputError: one is missing, or has another shape.
    """
    scales: dict[str, np.ndarray] = {}
    for name in SCALES:
        found = tensors.get(name)
        allowed = [shape] if name in SCALES[:2] else [(), (num_outputs,)]
        if (
            found is None
            or found.shape not in allowed
            or found.dtype.kind != "f"
            or not np.isfinite(found).all()
        ):
            raise InputError(
                f"{where}: tensor {name!r}, the scales of its fold, is missing or not of shape {allowed[-1]}"
            )
        scales[name] = found
    own = {name: each for name, each in tensors.items() if name not in SCALES}
    if other := next((name for name in own if not name.startswith(NETWORK)), None):
        raise InputError(f"{where}: tensor {other[:60]!r} is none of a network with the scales of its fold")

    def out(name: str) -> float | tuple[float, ...]:
        values = scales[name].tolist()
        return tuple(values) if isinstance(values, list) else float(values)

    change = Change(
        factor=scales["factor"].astype(np.float64),
        shift=scales["shift"].astype(np.float64),
        out_factor=out("out_factor"),
        out_shift=out("out_shift"),
    )
    return change, {name.removeprefix(NETWORK): each for name, each in own.items()}
