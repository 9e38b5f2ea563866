"""An exported model as a predictor. No code of the folder is run: what it says is data, and is checked."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import nn

from ravine.data.answers import NumberTarget
from ravine.data.preparation import Preparation
from ravine.data.several import NumbersTarget
from ravine.engine.device import find_device, moved
from ravine.errors import InputError, RavineError, in_a_line
from ravine.predictors.bodies import Bodies, source_of
from ravine.predictors.graph.door import members_of
from ravine.predictors.manifest import FILE, Manifest, MemberEntry, SharedEntry, read_manifest, vectors_of
from ravine.predictors.modules import built_in, module_of, named_model
from ravine.predictors.predictor import Part, Predictor
from ravine.predictors.rescaled import Rescaled, change_in
from ravine.predictors.vectors import prepared
from ravine.study.model import Model

GRAPH = "model.onnx"


def load_model(
    folder: Path | str,
    *,
    model: str | Callable[..., nn.Module] | None = None,
    trust: Sequence[str] = (),
    device: str = "auto",
) -> tuple[Predictor, Manifest, float]:
    """A predictor out of a folder that `ravine export` wrote.

    Args:
        folder: where it is.
        model: builds the network, or its name, where it is a module of the user's; None: the folder's ONNX graph
            evaluates it.
        trust: installed packages whose functions may build it.
        device: "auto", "cpu", "cuda" or "mps".

    Returns:
        The predictor, what the folder says of it, and by how much it is off on the test vectors.

    Raises:
        InputError: it is no model, was changed, needs `model`, or does not say what it said where it was exported.
    """
    folder = Path(folder)
    manifest, preparation = read_manifest(folder)
    where = str(folder)
    spec = _spec(manifest, folder)
    if spec is None and model is None:
        parts = _of_graph(manifest, folder)
    else:
        chosen = named_model(model, manifest.model, trust) if model is not None else spec
        assert chosen is not None, "one of the two is there"
        parts = _of_weights(chosen, manifest, preparation, folder)
    predictor = Predictor(
        preparation=preparation,
        members=parts,
        combine=manifest.combine,
        temperature=manifest.temperature,
        metric=manifest.metric(preparation.task),
    )
    off = _checked(predictor, manifest, where)  # on the CPU: accelerators round otherwise
    on = find_device(device)
    for each in predictor.members:
        if isinstance(each.model, nn.Module):
            moved(each.model, on)
    return predictor, manifest, off


def difference(predictor: Predictor, inputs: Mapping[str, np.ndarray], outputs: np.ndarray) -> float:
    """By how much a predictor is off on test vectors: of a probability, or of a value in the target's scale."""
    found = outputs_for(predictor, inputs)
    if found.shape != outputs.shape:
        return np.inf
    target = predictor.preparation.target
    unit = target.scale if isinstance(target, NumberTarget | NumbersTarget) else 1.0
    off = np.abs(found - outputs) / unit
    return float(off.max(initial=0.0)) if np.isfinite(off).all() else np.inf


def outputs_for(predictor: Predictor, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """What a predictor says about raw inputs of test vectors: (N, K) probabilities, or (N, T) values."""
    found = predictor.predict_prepared(prepared(predictor.preparation.inputs, inputs))
    if found.log_p is not None:
        return found.p
    values = np.asarray(found.predicted, dtype=np.float64)
    return values[:, None] if values.ndim == 1 else values


def _of_weights(model: Model, manifest: Manifest, preparation: Preparation, folder: Path) -> tuple[Part, ...]:
    shared = {} if manifest.shared is None else _weights(folder, manifest.shared)
    bodies: Bodies = {}
    parts = []
    for each in manifest.members:
        tensors = _weights(folder, each)
        twice = next(iter(tensors.keys() & shared.keys()), None)
        if twice is not None:
            raise InputError(f"{folder / each.file}: tensor {twice[:60]!r} is in the file of all members too")
        shape, num_outputs, where = preparation.inputs.shape, preparation.num_outputs, str(folder / each.file)
        change = None
        if manifest.scaled:
            change, tensors = change_in(tensors, shape, num_outputs, where)
        module = module_of(model, shape, num_outputs, {**shared, **tensors}, where=where, bodies=bodies)
        if change is not None:
            module = Rescaled(module, change).eval()
        parts.append(Part(name=each.name, share=each.share, model=module))
    return tuple(parts)


def _spec(manifest: Manifest, folder: Path) -> Model | None:
    try:
        return built_in(manifest.model)
    except RavineError as fault:
        raise InputError(f"{folder / FILE}: {fault}") from None


def _of_graph(manifest: Manifest, folder: Path) -> tuple[Part, ...]:
    own = source_of(manifest.model).partition("@")[0] or "MODULE:CLASS"
    target = str(manifest.model.get("target", own))[:80]
    if not (folder / GRAPH).is_file():
        raise InputError(
            f"{folder}: its network is a module of yours, and no code is run that only a folder names: say which it is "
            f"with --model {target} (in Python model=...), or export with --onnx"
        )
    graph = _regular(folder / GRAPH)
    found = members_of(graph)
    if set(found) != set(manifest.shares):
        raise InputError(f"{graph}: its members are not those of {FILE}")
    return tuple(Part(name=each.name, share=each.share, model=found[each.name]) for each in manifest.members)


def _weights(folder: Path, member: MemberEntry | SharedEntry) -> dict[str, np.ndarray]:
    """The weights of a member, or what all have in common, as `ravine.json` knows them.

    Raises:
        InputError: the file is missing, was changed, or is no plain file of the folder.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = _regular(folder / member.file)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != member.size:
                raise InputError(f"{path}: has {size:,} bytes; {FILE} says {member.size:,}")
            data = file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if hashlib.sha256(data).hexdigest() != member.sha256:
        raise InputError(f"{path}: was changed: its SHA-256 is not the one in {FILE}")
    try:
        return dict(load(data))
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no safetensors file: {in_a_line(error)}") from None


def _regular(path: Path) -> Path:
    """A plain file of the folder: a link may lead anywhere.

    Raises:
        InputError: it is something else, or not there.
    """
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: is not a plain file: a model has neither links nor devices")
    return path


def _checked(predictor: Predictor, manifest: Manifest, where: str) -> float:
    """By how much the predictor is off on its test vectors.

    Raises:
        InputError: by more than another machine's rounding.
    """
    inputs, outputs = vectors_of(manifest, f"{where}: {FILE}")
    try:
        off = difference(predictor, inputs, outputs)
    except RavineError as fault:
        raise InputError(f"{where}: its test vectors cannot be predicted: {fault}") from None
    except Exception as error:
        raise InputError(f"{where}: its test vectors cannot be predicted: {in_a_line(error)}") from error
    if not off <= manifest.vectors.allowed:
        raise InputError(
            f"{where}: does not say what it said where it was exported: off by {off:.2g} on its test vectors, at most "
            f"{manifest.vectors.allowed:.2g} is allowed: it was changed, or model is another network"
        )
    return off
