"""What a study knows of a backbone before PyTorch is imported: its preprocessing, and what identifies it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ravine.backbones.files import digest_of, existing
from ravine.backbones.known import BUILTIN
from ravine.data.sheet import Sheet
from ravine.errors import ModelError
from ravine.messages import shown
from ravine.nn.spec import Backbone
from ravine.nn.target import describe_factory, find_factory


def sheet(spec: Backbone, search: Path | None = None) -> Sheet | None:  # noqa: ARG001
    """The preprocessing of a backbone: that of its weights, with what `spec.input` says otherwise.

    Args:
        spec: the backbone.
        search: the study's folder, where relative paths start from.

    Returns:
        None where nothing is known: of a network of one's own without `input`.

    Raises:
        ModelError: the weights are not there.

    Example:
        >>> sheet(Backbone(weights="builtin:efficientnet-lite0", input={"crop": 1.0})).values
        (-1.0, 1.0)
    """
    source, name = architecture_of(spec)
    own = BUILTIN[name].sheet if source == "builtin" else None
    given = {key: value for key, value in spec.input.values().items() if value is not None}
    if own is None and not given:
        return None
    base = own or Sheet(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    if "size" in given:
        given["size"] = (given["size"], given["size"])
    if "range" in given:
        given["low"], given["high"] = given.pop("range")
    for key in ("mean", "std"):
        if key in given:
            given[key] = given[key] * 3 if len(given[key]) == 1 else given[key]
    return replace(base, **given)


def structure(spec: Backbone, search: Path | None = None) -> dict[str, Any]:
    """What identifies a backbone in a run's recipe: no path, and no name that a user gave.

    Args:
        spec: the backbone, its rates at 0.
        search: the study's folder.

    Raises:
        ModelError: weights or target are not there.
    """
    source, name = architecture_of(spec)
    architecture: dict[str, Any] = {"architecture": f"{source}:{name}"}
    if source == "target":
        architecture = {
            "architecture": describe_factory(find_factory(name, search, spec.trust)),
            "args": spec.plain()["args"],
        }
    found = sheet(spec, search)
    return {
        "kind": "backbone",
        **architecture,
        "weights": _digest(spec, search),
        "cut": spec.cut,
        "head": {"hidden": list(spec.head.hidden)},
        "norm": spec.norm,
        "input": None if found is None else found.plain(),
    }


def scratch(spec: Backbone) -> Backbone:
    """The same network without what it has learned: every number is drawn by the run's seed, and all are trained.

    Example:
        >>> scratch(Backbone(weights="builtin:efficientnet-lite0")).target
        'builtin:efficientnet-lite0'
    """
    source, name = architecture_of(spec)
    target = name if source == "target" else f"{source}:{name}"
    return spec.but(weights=None, target=target, norm="adapt")


def weights_file(spec: Backbone, search: Path | None) -> Path | None:
    """The file of a backbone's weights; None: it has none.

    Raises:
        ModelError: it is not there.
    """
    source, _, name = (spec.weights or "").partition(":")
    if not source:
        return None
    if source == "builtin":
        return BUILTIN[name].file()
    if source == "file":
        if spec.trust is None:
            raise ModelError(
                f"model.weights = {shown(spec.weights)}: no study file found here names it, and ravine reads no file "
                "that only a store names: give the study file"
            )
        return existing(name, search or Path(), f"model.weights = {shown(spec.weights)}")
    raise ModelError(f"model.weights = {shown(spec.weights)}: not supported yet")


def architecture_of(spec: Backbone) -> tuple[str, str]:
    """Where the network comes from, "builtin", "timm", "hf" or "target", and its name there."""
    text = spec.target or spec.weights or ""
    source, _, name = text.partition(":")
    return (source, name) if source in ("builtin", "timm", "hf") else ("target", text)


def _digest(spec: Backbone, search: Path | None) -> str | None:
    source, _, name = (spec.weights or "").partition(":")
    if source == "builtin":
        return BUILTIN[name].digest
    file = weights_file(spec, search)
    return None if file is None else digest_of(file)
