"""Stored weights as plain modules in evaluation mode."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ravine import rng
from ravine.engine.device import moved
from ravine.errors import InputError, ModelError, StoreError, in_a_line
from ravine.forms import Refused
from ravine.free_memory import built
from ravine.messages import shown
from ravine.nn import spec
from ravine.nn.build import build, check_output
from ravine.nn.stochastic import kinds_of, rates_at_test
from ravine.nn.target import describe_factory, find_factory
from ravine.predictors.bodies import KIND, Bodies, backbone_of, on_body, own_tensors, source_of
from ravine.study.model import Model, parse_model
from ravine.study.recipe import MARKS
from ravine.study.trust import packages_of

BUILT_IN = ("mlp", "convnet", "resnet")


def built_in(structure: Mapping[str, Any]) -> Model | None:
    """The built-in model of a recipe's structure; None where it is a module of the user's.

    Raises:
        StudyError: a value of it is not allowed.
    """
    if structure.get("kind") == KIND:
        try:
            return backbone_of(structure)
        except Refused as fault:
            raise fault.in_study("model") from None
    if structure.get("kind") not in BUILT_IN:
        return None
    return parse_model({key: value for key, value in structure.items() if key not in MARKS})[0]


def named_model(
    model: str | Callable[..., nn.Module], structure: Mapping[str, Any], trust: Sequence[str] = ()
) -> Model:
    """The model that somebody names, or gives, for a structure that has a module of theirs.

    Args:
        model: ``"package.module:Name"``, or a class or function.
        structure: of the recipe; its keyword arguments go to the class or function.
        trust: installed packages whose functions may run.

    Raises:
        InputError: it is neither, or the structure has no module of the user's.
    """
    if built_in(structure) is not None:
        kind = structure.get("architecture", structure["kind"])
        raise InputError(f"model: the network is a built-in one, {kind!r}: leave it out")
    args = structure.get("args") or {}
    if structure.get("kind") == KIND and not isinstance(model, str):
        raise InputError(f"model = {shown(model)}: of a backbone it must be a name, as in net:Net")
    if isinstance(model, str):
        try:
            if structure.get("kind") == KIND and (backbone := backbone_of(structure, model)) is not None:
                return backbone.trusting(packages_of(trust))
            return spec.Module.of({"target": model, "args": args}).trusting(packages_of(trust))
        except Refused as fault:
            raise InputError(fault.line(inside="model")) from None
    if not callable(model) or isinstance(model, nn.Module):
        raise InputError(
            f"model = {shown(model)}: must be a class or a function that builds the network, or its name, as in net:Net"
        )
    return functools.partial(model, **args) if args else model


def check_source(model: Model, structure: Mapping[str, Any], search: Path | None, where: str) -> None:
    """Refuse code that is not what a run was trained with.

    Raises:
        StoreError: it is other code.
    """
    factory: Any = model
    if isinstance(model, spec.Backbone) and str(model.target).startswith("hf:"):
        return  # its tensors must fit
    if isinstance(model, spec.Module | spec.Backbone):
        factory = find_factory(str(model.target), search, model.trust)
    while isinstance(factory, functools.partial):
        factory = factory.func
    source = source_of(structure) if isinstance(model, spec.Backbone) else str(structure.get("source", ""))
    now, before = describe_factory(factory), source
    if now.partition(":")[2] != before.partition("(")[0].partition(":")[2]:
        raise StoreError(f"{where}: was trained with another model, {before[:80]}; here is {now[:80]}")


def module_of(
    model: Model,
    shape: tuple[int, ...],
    num_outputs: int,
    tensors: Mapping[str, np.ndarray],
    *,
    search: Path | None = None,
    device: torch.device | None = None,
    where: str = "",
    bodies: Bodies | None = None,
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
        bodies: of backbones that were built before, which it may share; its own is added.

    Raises:
        ModelError: the model cannot be built, or does not fit the data.
        StoreError: the weights are not this model's.
    """
    if isinstance(model, spec.MLP | spec.ConvNet | spec.ResNet):
        # Nothing of its size is allocated before its weights are known to have that size.
        module = _widened(_on_meta(model, shape, num_outputs, tensors), tensors)
        _check_tensors(module, tensors, where)
        module = module.to_empty(device="cpu")
    elif isinstance(model, spec.Backbone):
        known = {} if bodies is None else bodies
        module = _widened(on_body(model, shape, num_outputs, tensors, known, search, where), tensors)
        _check_tensors(module, tensors, where)
    else:
        with rng.keyed_init(0):
            module = _widened(
                built(lambda: build(model, shape, num_outputs, search=search), "model"), tensors
            )
        check_output(module, shape, num_outputs)
        _check_tensors(module, tensors, where)
    fill(module, tensors)
    return moved(module, device or torch.device("cpu")).eval().requires_grad_(False)


def _on_meta(
    model: spec.MLP | spec.ConvNet | spec.ResNet,
    shape: tuple[int, ...],
    num_outputs: int,
    tensors: Mapping[str, np.ndarray],
) -> nn.Module:
    """A built-in model with those layers whose rates are stored with the weights."""
    try:
        with torch.device("meta"):
            whole = build(model, shape, num_outputs, rates=tuple(spec.RATES))
            kinds = kinds_of(whole)
            given = {kinds[name.rpartition(".")[0]] for name in rates_at_test(whole) if name in tensors}
            return build(model, shape, num_outputs, rates=tuple(given))
    except ModelError:
        raise
    except (RuntimeError, OverflowError, TypeError) as error:  # sides multiply to more than there can be
        raise ModelError(
            f"model: cannot be built for examples of shape {shape}: {in_a_line(error)}"
        ) from None


def _widened(module: nn.Module, tensors: Mapping[str, np.ndarray]) -> nn.Module:
    """A module in float64 where its weights are, of a run that was trained so."""
    double = any(tensor.dtype == np.float64 for tensor in tensors.values())
    return module.double() if double else module


def fill(module: nn.Module, tensors: Mapping[str, np.ndarray]) -> None:
    """Give a module these weights, in place."""
    with torch.no_grad():
        for name, own in own_tensors(module).items():
            own.copy_(torch.from_numpy(np.array(tensors[name])))


def _check_tensors(module: nn.Module, tensors: Mapping[str, np.ndarray], where: str) -> None:
    """See that these are weights of this module.

    Raises:
        StoreError: they have other names, shapes or types.
    """
    own = own_tensors(module)
    for name in dict.fromkeys((*own, *tensors)):
        if name not in tensors or name not in own:
            lacks = "lacks" if name not in tensors else "has, and the model has not,"
            raise StoreError(f"{where}: its weights are not its model's: it {lacks} tensor {name[:60]!r}")
        given, wanted = tensors[name], own[name]
        kind = str(wanted.dtype).removeprefix("torch.")
        if given.shape != tuple(wanted.shape) or given.dtype.name != kind:
            raise StoreError(
                f"{where}: its weights are not its model's: tensor {name!r} is {given.dtype} {given.shape}, needed is "
                f"{kind} {tuple(wanted.shape)}"
            )
