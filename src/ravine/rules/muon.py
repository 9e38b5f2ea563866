"""Muon: a velocity whose matrices are made orthogonal, so that a step is equally long in all their directions."""

# ruff: noqa: ARG001 (every rule has one signature)

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ravine.rules.adamw import ADAMW
from ravine.rules.base import Hypers, Rule, State, TorchForm
from ravine.rules.hyper import Hyper, decay_rate, learning_rate
from ravine.rules.regularize import decoupled

if TYPE_CHECKING:
    from torch import Tensor

_NUM_ITERATIONS = 5
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def init(param: Tensor) -> State:
    """A mean of zero."""
    return {"mean": param.new_zeros(param.shape)}


def update(grad: Tensor, state: State, param: Tensor, hypers: Hypers, t: Tensor) -> tuple[Tensor, State]:
    """The step of a weight matrix; a convolution's filters are its rows.

    ``m <- momentum m + (1 - momentum) g``, ``d = momentum m + (1 - momentum) g``,
    ``x <- x - lr (k orthogonal(d) + weight_decay x)``, with ``k = 0.2 sqrt(max(rows, columns))``, as long as Adam's
    steps are; with ``match_adam = 0`` it is ``sqrt(max(1, rows / columns))``. ``weight_decay`` is the decoupled one.
    """
    mean = state["mean"].lerp(grad, 1.0 - hypers["momentum"])
    matrix = grad.lerp(mean, hypers["momentum"]).flatten(1)
    rows, columns = matrix.shape
    wide, tall = 0.2 * math.sqrt(max(rows, columns)), math.sqrt(max(1.0, rows / columns))
    factor = hypers["match_adam"] * (wide - tall) + tall
    step = orthogonal(matrix).reshape(param.shape) * (-hypers["lr"] * factor)
    return decoupled(step, param, hypers, "weight_decay"), {"mean": mean}


def orthogonal(matrix: Tensor) -> Tensor:
    """Approximately the orthogonal matrix closest to ``matrix``: five steps of a Newton-Schulz iteration.

    Singular values above a hundredth of the largest end between 0.68 and 1.13; the directions stay.

    Args:
        matrix: (rows, columns).

    References:
        Jordan, Jin, Boza, You, Cesista, Newhouse and Bernstein, "Muon", 2024, for the coefficients.
    """
    a, b, c = _COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.mT if tall else matrix
    x = x / x.square().sum().sqrt().clamp(min=1e-7)
    for _ in range(_NUM_ITERATIONS):
        gram = x @ x.mT
        x = x * a + (gram * b + (gram @ gram) * c) @ x
    return x.mT if tall else x


def hidden(names: Sequence[str], shapes: Sequence[Sequence[int]]) -> frozenset[str]:
    """The parameters that Muon trains: those of at least two dimensions, except for the last one, the output layer's.

    Args:
        names: of the parameters, in the module's order.
        shapes: of the parameters of one run.

    Example:
        >>> sorted(hidden(["0.weight", "0.bias", "2.weight"], [(8, 4), (8,), (3, 8)]))
        ['0.weight']
    """
    return frozenset([name for name, shape in zip(names, shapes, strict=True) if len(shape) >= 2][:-1])


MUON = Rule(
    name="muon",
    hypers={
        "lr": learning_rate(1e-3),
        "momentum": decay_rate("decay of the mean of gradients", 0.95),
        "match_adam": Hyper(
            about="1: steps of a matrix are as long as Adam's; 0: as in torch.optim", default=1.0, high=1.0
        ),
        "weight_decay": ADAMW.hypers["weight_decay"],
    },
    init=init,
    update=update,
    scope="tensor",
    torch=TorchForm(hypers={"match_adam": 0.0, "weight_decay": 0.1}),
    decays=("weight_decay",),
    others=ADAMW,
    source="Jordan et al., 2024; length of a step: Liu et al., 2025",
)
