"""Stored weights as plain modules in evaluation mode."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ravine import rng
from ravine.errors import StoreError
from ravine.free_memory import built
from ravine.nn.build import build, check_output
from ravine.nn.stochastic import stochastic_modules
from ravine.study.model import Model, parse_model

BUILT_IN = ("mlp", "convnet", "resnet")


def built_in(structure: Mapping[str, Any]) -> Model | None:
    """The built-in model of a recipe's structure; None where it is a module of the user's.

    Raises:
        StudyError: a value of it is not allowed.
    """
    return parse_model(dict(structure))[0] if structure.get("kind") in BUILT_IN else None


def module_of(
    model: Model,
    shape: tuple[int, ...],
    num_outputs: int,
    tensors: Mapping[str, np.ndarray],
    *,
    search: Path | None = None,
    device: torch.device | None = None,
    where: str = "",
) -> nn.Module:
    """A module with given weights, for evaluation: no gradients, no dropout.

    Args:
        model: its specification, or a class or function without arguments.
        shape: of one example.
        num_outputs: K.
        tensors: parameters and buffers by name.
        search: the study's folder, where a user's module is looked for.
        device: where it is evaluated.
        where: whose weights these are, for errors.

    Raises:
        ModelError: the model cannot be built, or does not fit the data.
        StoreError: the weights are not this model's.
    """
    with rng.keyed_init(0):
        module = built(lambda: build(model, shape, num_outputs, search=search), "model")
    check_output(module, shape, num_outputs)
    fill(module, tensors, where)
    return module.to(device or torch.device("cpu")).eval().requires_grad_(False)


def own_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers by name, those that several layers share once; not the rates of stochastic layers."""
    supplied = {
        f"{name}.{what}" if name else what
        for name, _ in stochastic_modules(module)
        for what in ("rate", "key")
    }
    named = (*module.named_parameters(), *module.named_buffers())
    return {name: tensor for name, tensor in named if name not in supplied}


def fill(module: nn.Module, tensors: Mapping[str, np.ndarray], where: str) -> None:
    """Give a module these weights, in place.

    Raises:
        StoreError: they have other names, shapes or types than the module's.
    """
    own = own_tensors(module)
    for name in dict.fromkeys((*own, *tensors)):
        if name not in tensors or name not in own:
            lacks = "lacks" if name not in tensors else "has, and the model has not,"
            raise StoreError(f"{where}: its weights are not its model's: it {lacks} tensor {name!r}")
        given, wanted = torch.from_numpy(np.array(tensors[name])), own[name]
        if given.shape != wanted.shape or given.dtype != wanted.dtype:
            raise StoreError(
                f"{where}: its weights are not its model's: tensor {name!r} is {_shown(given)}, needed is "
                f"{_shown(wanted)}"
            )
        with torch.no_grad():
            wanted.copy_(given)


def _shown(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
