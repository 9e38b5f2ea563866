"""What a study knows of a backbone before PyTorch is imported: its preprocessing, and what identifies it.

Where it comes from: "builtin", written here; "target", code of the user's; "timm", a name of timm's; "hf", a
repository of the hub or a folder like one. timm cannot be asked anything without PyTorch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ravine.backbones.files import digest_of, existing, verification
from ravine.backbones.hub import CONFIG, PREPROCESSING, WEIGHTS, hub_file, read_json
from ravine.backbones.known import BUILTIN
from ravine.backbones.sheets import of_timm, of_transformers
from ravine.backbones.timm_names import timm_config, timm_file
from ravine.data.sheet import Sheet
from ravine.errors import ModelError
from ravine.messages import shown
from ravine.nn.spec import LITE0, RANDOM, Backbone
from ravine.nn.target import describe_factory, find_factory
from ravine.verification import Verification

# Keys of a configuration of transformers that no number depends on.
_BESIDE = (
    "transformers_version",
    "_name_or_path",
    "torch_dtype",
    "dtype",
    "id2label",
    "label2id",
    "num_labels",
)


def sheet(spec: Backbone, search: Path | None = None) -> Sheet | None:
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
    own = _own_sheet(spec, search)
    given = {key: value for key, value in spec.input.values().items() if value is not None}
    if own is None and not given:
        return None
    if "size" in given:
        given["size"] = (given["size"], given["size"])
    if "range" in given:
        given["low"], given["high"] = given.pop("range")
    for key in ("mean", "std"):
        if key in given:
            given[key] = given[key] * 3 if len(given[key]) == 1 else given[key]
    return replace(own or Sheet(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)), **given)


def _own_sheet(spec: Backbone, search: Path | None) -> Sheet | None:
    source, name = architecture_of(spec)
    if source == "builtin":
        return BUILTIN[name].sheet
    if source == "timm":
        return of_timm(timm_config(name), f"timm's {name}")
    if source == "hf":
        config = hub_config(spec, search)
        if is_timm(config):
            return of_timm(config.get("pretrained_cfg") or {}, f"{name}: {CONFIG}")
        file = hub_file(name, PREPROCESSING, search, optional=True, key=_key(spec))
        return None if file is None else of_transformers(read_json(file), str(file))
    return None


def structure(spec: Backbone, search: Path | None = None) -> dict[str, Any]:
    """What identifies a backbone in a run's recipe: no path, and no name that a user gave.

    Args:
        spec: the backbone, its rates at 0.
        search: the study's folder.

    Raises:
        ModelError: weights or target are not there.
    """
    found = sheet(spec, search)
    return {
        "kind": "backbone",
        "architecture": _identified(spec, search),
        "weights": _digest(spec, search),
        "cut": spec.cut,
        "head": {"hidden": list(spec.head.hidden)},
        "norm": spec.norm,
        "input": None if found is None else found.plain(),
    }


def _identified(spec: Backbone, search: Path | None) -> Any:
    """The architecture as plain data."""
    source, name = architecture_of(spec)
    args = spec.plain()["args"]
    if source == "target":
        return {"source": describe_factory(find_factory(name, search, spec.trust)), "args": args}
    if source == "builtin":
        return f"builtin:{name}"
    if source == "timm":
        return {"timm": name.partition(".")[0], "args": args}
    config = hub_config(spec, search)
    if is_timm(config):
        return {"timm": config["architecture"], "args": without_classes(config)}
    content = {key: value for key, value in config.items() if key not in _BESIDE}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return {
        "transformers": config.get("model_type"),
        "config": hashlib.sha256(text.encode()).hexdigest()[:16],
    }


def without_classes(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of timm's that a repository gives, but for the size of its own head."""
    args = config.get("model_args") or {}
    if not isinstance(args, Mapping):
        raise ModelError(f"{CONFIG}: model_args = {shown(args)}: must be a table")
    return {key: value for key, value in args.items() if key != "num_classes"}


def scratch(spec: Backbone) -> Backbone:
    """The same network without what it has learned: every number is drawn by the run's seed, and all are trained.

    Example:
        >>> scratch(Backbone(weights="builtin:efficientnet-lite0")).target
        'builtin:efficientnet-lite0'
    """
    source, name = architecture_of(spec)
    target = name if source == "target" else f"{source}:{name}"
    return spec.but(weights=None, target=target, norm="adapt").trusting(spec.trust)


def architecture_of(spec: Backbone) -> tuple[str, str]:
    """Where the network comes from, and its name there.

    Example:
        >>> architecture_of(Backbone(weights="file:x.safetensors", target="net:Small"))
        ('target', 'net:Small')
        >>> architecture_of(Backbone(weights="file:x.safetensors"))
        ('builtin', 'efficientnet-lite0')
    """
    text = spec.target or spec.weights or ""
    source, _, name = text.partition(":")
    if source in ("file", RANDOM):
        return "builtin", LITE0
    return (source, name) if source in ("builtin", "timm", "hf") else ("target", text)


def weights_file(spec: Backbone, search: Path | None) -> Path | None:
    """The file of a backbone's weights; None: it has none.

    Raises:
        ModelError: it is not there.
    """
    source, _, name = (spec.weights or "").partition(":")
    if source in ("", RANDOM):
        return None
    if source == "builtin":
        return BUILTIN[name].file()
    if source == "timm":
        return timm_file(name)
    _check_named(spec)
    if source == "file":
        return existing(name, search or Path(), f"model.weights = {shown(spec.weights)}")
    return hub_file(name, WEIGHTS, search)


def weights_unchanged(specs: Iterable[Backbone], search: Path | None) -> Verification:
    """Whether files of weights still have the content that their remembered hashes are of.

    Args:
        specs: of the backbones.
        search: the folder that a relative path starts from.
    """
    files = [weights_file(each, search) for each in specs]
    return verification([file for file in files if file is not None and file.suffix == ".safetensors"])


def hub_config(spec: Backbone, search: Path | None) -> dict[str, Any]:
    """What a repository or a folder says of its network.

    Raises:
        ModelError: it says nothing.
    """
    _check_named(spec)
    file = hub_file(architecture_of(spec)[1], CONFIG, search, key=_key(spec))
    assert file is not None, "a file that is not optional is there"
    return read_json(file)


def _key(spec: Backbone) -> str:
    """The key that names the network."""
    return "weights" if spec.target is None else "target"


def is_timm(config: Mapping[str, Any]) -> bool:
    """Whether a configuration is timm's, and not transformers'."""
    return isinstance(config.get("architecture"), str)


def _check_named(spec: Backbone) -> None:
    if spec.trust is None:
        raise ModelError(
            f"model.weights = {shown(spec.weights)}: no study file found here names it, and ravine reads no file that "
            "only a store names: give the study file"
        )


def _digest(spec: Backbone, search: Path | None) -> str | None:
    source, _, name = (spec.weights or "").partition(":")
    if source == "builtin":
        return BUILTIN[name].digest
    if source == RANDOM:
        return f"{RANDOM}:{int(name)}"
    file = weights_file(spec, search)
    return None if file is None else digest_of(file)
