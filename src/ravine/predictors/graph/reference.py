"""What a graph is to say: a predictor's answers for made-up examples, and whether it has one answer for each."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from ravine.data.answers import ClassTarget
from ravine.data.scale import Floats
from ravine.data.several import LabelsTarget
from ravine.ensembles.cells import Cells
from ravine.ensembles.pooling import log_softmax
from ravine.errors import ModelError, in_a_line, raised_at
from ravine.messages import count
from ravine.predictors.graph.answers import Names
from ravine.predictors.predictor import Predictor
from ravine.predictors.vectors import Arrays, prepared, raw_vectors

OTHER = 1e-5  # of a network's output, relative to the largest: more is another network


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vectors:
    """Examples with what a predictor says of them.

    Args:
        inputs: raw.
        answers: what the graph is to say, by the names of its outputs.
        members: the outputs (N, K) of each member's network.
        scale: that differences between answers are divided by, a number for each of several targets.
    """

    inputs: Arrays
    answers: Arrays
    members: Sequence[np.ndarray]
    scale: float | list[float]


def modules_of(predictor: Predictor) -> list[nn.Module]:
    """The members' modules on the CPU, in evaluation mode, without gradients.

    Raises:
        ModelError: a member is an ONNX graph already, or cannot be copied.
    """
    found = []
    known: dict[int, Any] = {}  # what members share, their copies share
    for each in predictor.members:
        if not isinstance(each.model, nn.Module):
            raise ModelError(
                f"member {each.name} is an ONNX graph already; a module is needed to write another"
            )
        try:
            module = copy.deepcopy(each.model, known).cpu().eval().requires_grad_(False)
        except Exception as error:
            raise ModelError(f"member {each.name}: its model cannot be copied: {in_a_line(error)}") from error
        double = any(param.dtype == torch.float64 for param in module.parameters())
        found.append(_widening(type(module).__name__)(module).eval() if double else module)
    return found


class Widening(nn.Module):
    """A module in float64 that takes float32, as a graph does."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The module's outputs, in float64."""
        found: torch.Tensor = self.module(x.double())
        return found


@cache
def _widening(name: str) -> type[Widening]:
    """Called like the module's class, which errors name."""
    return type(name, (Widening,), {})


def vectors_of(predictor: Predictor, modules: Sequence[nn.Module], names: Names) -> Vectors:
    """Made-up examples with what a predictor says of them.

    Args:
        predictor: its members are these modules.
        modules: of its members.
        names: of the graph's outputs.

    Raises:
        ModelError: a network fails, or has not one answer for each example.
    """
    raw = raw_vectors(predictor.preparation.inputs)
    x = prepared(predictor.preparation.inputs, raw)
    said = predictor.predict_prepared(x)
    outputs = _outputs(modules, x)
    _check_steady(modules[0], outputs, _outputs(modules, x), _outputs(modules, x[:1]))
    if any(np.isnan(each).any() for each in outputs):
        raise ModelError(
            f"model: {type(modules[0]).__name__} gives NaN for usual inputs: its graph could not be proved"
        )
    answers: dict[str, np.ndarray]
    target = predictor.preparation.target
    if isinstance(target, ClassTarget | LabelsTarget):
        labels = isinstance(target, LabelsTarget)
        answers = {
            names.probabilities: said.p.astype(np.float32),
            names.label: said.predicted.astype(np.int64) if labels else np.array(said.names, dtype=object),
        }
        if names.members:
            cells = Cells.of_target(target)
            log_p = np.stack([log_softmax(cells.outputs(each)) for each in said.outputs.values()])
            own = log_p[..., 1].reshape(len(log_p), -1, cells.per) if labels else log_p
            answers[names.members] = np.exp(own).astype(np.float32)
        return Vectors(inputs=raw, answers=answers, members=outputs, scale=1.0)
    values = said.predicted.astype(np.float64)
    answers = {names.prediction: values[:, None] if values.ndim == 1 else values}
    every = np.stack(list(said.outputs.values())).astype(np.float64)
    if names.members:
        answers[names.members] = every
    largest = np.abs(every).max(axis=(0, 1))
    scale = np.where(largest > 0, largest, 1.0).tolist()
    return Vectors(inputs=raw, answers=answers, members=outputs, scale=scale)


def _outputs(modules: Sequence[nn.Module], x: Floats) -> list[np.ndarray]:
    """Of each network, (N, K)."""
    try:
        with torch.inference_mode():
            return [module(torch.from_numpy(x)).float().numpy() for module in modules]
    except Exception as error:
        name = type(modules[0]).__name__
        number = count(len(x), "example")
        raise ModelError(
            f"model: {name} fails with {number}: {in_a_line(error)}{raised_at(error)}"
        ) from error


def _check_steady(
    module: nn.Module,
    outputs: Sequence[np.ndarray],
    again: Sequence[np.ndarray],
    first: Sequence[np.ndarray],
) -> None:
    """Refuse networks that say something else the second time, or of an example by itself."""
    name = type(module).__name__
    if any(not np.array_equal(a, b, equal_nan=True) for a, b in zip(outputs, again, strict=True)):
        raise ModelError(
            f"model: {name} gives other outputs each time, in evaluation mode too: it cannot become a graph"
        )
    for all_of_them, one in zip(outputs, first, strict=True):
        if np.abs(all_of_them[:1] - one).max() > OTHER * max(1.0, float(np.abs(one).max())):
            raise ModelError(
                f"model: {name}: its output for an example depends on the other examples of the batch: it cannot "
                "become a graph"
            )
