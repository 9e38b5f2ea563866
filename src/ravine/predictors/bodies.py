"""Members that are backbones: the network out of a recipe, and one body for all members that share it.

A head that was trained on a frozen body is a few thousand numbers, the body millions. So members with the same body are
modules with one body between them: it is in memory, in a folder and in a graph once, and a batch goes through it once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ravine import rng
from ravine.backbones import scratch
from ravine.backbones.assembled import Assembled, assembled, head_of
from ravine.backbones.known import BUILTIN
from ravine.errors import ModelError, StoreError
from ravine.free_memory import built
from ravine.messages import shown
from ravine.nn.spec import Backbone, Head
from ravine.nn.stochastic import rates_at_test, stochastic_modules

BODY, HEAD = "body.", "head."
KIND = "backbone"
LARGEST_SIDE = 4096  # pixels

Tensors = Mapping[str, np.ndarray]
Bodies = dict[str, nn.Module]
"""Bodies that have been built, by `body_id`."""


def backbone_of(structure: Mapping[str, Any], target: str | None = None) -> Backbone | None:
    """The backbone of a recipe's structure, whose numbers are to come from stored weights alone.

    Args:
        structure: of the recipe, or of an exported model.
        target: what builds it where a recipe does not say that: ``"package.module:Name"``, or ``"hf:..."``.

    Returns:
        None where a target is needed and not given.

    Raises:
        Refused: a value of it is not allowed.
    """
    known, args = _architecture(structure.get("architecture"))
    if known is None and target is None:
        return None
    head = structure.get("head")
    content = {
        "kind": KIND,
        "target": target if known is None else known,
        "head": {"hidden": head.get("hidden", ())} if isinstance(head, Mapping) else head,
        **{key: structure[key] for key in ("cut", "norm") if structure.get(key) is not None},
    }
    if args:
        content["args"] = args
    return Backbone.of(content)


def _architecture(about: object) -> tuple[str | None, object]:
    """What a recipe says of an architecture: its name, if anybody has it, and arguments."""
    if isinstance(about, Mapping):
        name = about.get("timm")
        return (f"timm:{name}" if isinstance(name, str) else None), about.get("args")
    known = isinstance(about, str) and about.removeprefix("builtin:") in BUILTIN
    return (str(about) if known and str(about).startswith("builtin:") else None), None


def source_of(structure: Mapping[str, Any]) -> str:
    """The code of a network of one's own, as a recipe describes it; of others "".

    Example:
        >>> source_of({"architecture": {"source": "net:Small@01ab", "args": {}}})
        'net:Small@01ab'
    """
    about = structure.get("architecture")
    return str(about.get("source", "")) if isinstance(about, Mapping) else ""


def lacks_body(tensors: Tensors) -> bool:
    """Whether weights are those of a head alone."""
    return not any(name.startswith(BODY) for name in tensors)


def check_head(spec: Head, num_outputs: int, tensors: Tensors, where: str) -> None:
    """See that a head has the size of its weights, before any of it is allocated.

    Raises:
        StoreError: it has not.
    """
    layers = [f"{HEAD}linear{i}" for i in range(1, len(spec.hidden) + 1)] + [f"{HEAD}output"]
    for layer, width in zip(layers, (*spec.hidden, num_outputs), strict=True):
        own = tensors.get(f"{layer}.weight")
        if own is None or own.ndim != 2 or own.shape[0] != width:
            lacks = "is missing" if own is None else f"has shape {own.shape}"
            raise StoreError(
                f"{where}: its weights are not its model's: {layer}.weight {lacks}; {width} outputs are needed"
            )


def on_body(
    spec: Backbone,
    shape: tuple[int, ...],
    num_outputs: int,
    tensors: Tensors,
    bodies: Bodies,
    search: Path | None,
    where: str,
) -> Assembled:
    """A backbone of the size of given weights, which may have numbers of their own still.

    Args:
        spec: of it; its weights are not read.
        shape: of one example.
        num_outputs: K.
        tensors: the weights, by name.
        bodies: that were built before; where its own is among them, it is shared, and else added.
        search: the study's folder, where a network of one's own is looked for.
        where: whose weights these are, for errors.

    Raises:
        ModelError: it cannot be built, or does not fit the data.
        StoreError: the weights are not this model's.
    """
    if max(shape) > LARGEST_SIDE:
        raise ModelError(
            f"{where}: examples of shape {shown(shape)}; a side has at most {LARGEST_SIDE:,} pixels"
        )
    check_head(spec.head, num_outputs, tensors, where)
    key = body_id(tensors)
    if key not in bodies:
        blank = spec.but(weights=None, target=scratch(spec).target)
        with rng.keyed_init(0):
            module = built(lambda: assembled(blank, shape, num_outputs, search=search), "model")
        assert isinstance(module, Assembled), "as it was assembled"
        bodies[key] = module.body
        return module
    first = f"{HEAD}linear1" if spec.head.hidden else f"{HEAD}output"
    with torch.device("meta"):
        head = head_of(spec.head, tensors[f"{first}.weight"].shape[1], num_outputs, ())
    return Assembled(bodies[key], head.to_empty(device="cpu"))


def body_id(tensors: Tensors) -> str:
    """What two bodies have in common that are equal bit for bit."""
    hashed = hashlib.sha256()
    for name in sorted(tensors):
        if name.startswith(BODY):
            array = np.ascontiguousarray(tensors[name])
            hashed.update(f"{name} {array.dtype} {array.shape}".encode())
            hashed.update(array.tobytes())
    return hashed.hexdigest()


def features_of(module: Assembled, x: torch.Tensor, known: dict[int, torch.Tensor]) -> torch.Tensor:
    """What a module's body makes of a batch, computed once for all members that share it.

    Args:
        module: of a member.
        x: (B, ...) the batch.
        known: what bodies have made of this batch; changed in place.
    """
    key = id(module.body)
    if key not in known:
        known[key] = module.features(x)
    return known[key]


def own_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers by name, those that several layers share once; rates where evaluation depends on them."""
    supplied = {
        f"{name}.{what}" if name else what
        for name, _ in stochastic_modules(module)
        for what in ("rate", "key")
    } - set(rates_at_test(module))
    named = (*module.named_parameters(), *module.named_buffers())
    return {name: tensor for name, tensor in named if name not in supplied}
