"""Weights out of files into a network: every tensor has its place, or the one that has none is named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ravine.backbones.architecture import Architecture
from ravine.backbones.files import PREFIXES, read_header, state_of
from ravine.backbones.known import BUILTIN
from ravine.backbones.lite0_names import own_name
from ravine.errors import ModelError, nearest
from ravine.messages import count, shown

_KINDS = {torch.float32: "F32", torch.int64: "I64"}
_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_TINY = torch.finfo(torch.float32).tiny
_COUNTER = "num_batches_tracked"  # of a BatchNorm, which files may lack: it counts, and nothing depends on it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weights:
    """The tensors of a file.

    Args:
        where: the file, for errors.
        tensors: by the names that the file gives them.
        notes: what a reader should know about them.
    """

    where: str
    tensors: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()


def read_builtin(name: str) -> Weights:
    """The weights that a package brings; the file is read as data, and checked against a known hash.

    Raises:
        ModelError: the package is not installed, or brings something else.
    """
    file = BUILTIN[name].file()
    return _builtin(name, *state_of(file))


@lru_cache(maxsize=2)
def _builtin(name: str, file: Path, _size: int, _mtime_ns: int, _now: int) -> Weights:
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 (whatever a broken file makes of it)
        raise ModelError(
            f"{file}: cannot be read as weights: {type(error).__name__}; install the package again"
        ) from None
    known = isinstance(content, dict) and all(isinstance(each, Tensor) for each in content.values())
    tensors = {own_name(str(key)): each.contiguous() for key, each in content.items()} if known else {}
    if digest_of_tensors(tensors) != BUILTIN[name].digest:
        raise ModelError(f"{file}: these are not the weights that are known; install the package again")
    return Weights(where=str(file), tensors=flushed(tensors))


def read_safetensors(file: Path) -> Weights:
    """The weights in a safetensors file, as float32 where they are shorter or longer.

    Raises:
        ModelError: it is no such file, or a number in it is infinite or not one.
    """
    return _safetensors(*state_of(file))


@lru_cache(maxsize=2)
def _safetensors(file: Path, _size: int, _mtime_ns: int, _now: int) -> Weights:
    read_header(file)
    try:
        tensors = load_file(file)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"{file}: cannot be read: {' '.join(str(error).split())[:160]}") from None
    return _checked(file, tensors)


def read_with(file: Path, read: Callable[[], Mapping[str, Tensor]]) -> Weights:
    """The weights of a file that a library reads, since it names the tensors otherwise than the file does.

    Args:
        file: the file.
        read: reads it.

    Raises:
        ModelError: see `read_safetensors`.
    """
    key = state_of(file)
    if key not in _READ:
        read_header(file)
        _READ.clear()  # one is enough: they are large
        _READ[key] = _checked(file, read())
    return _READ[key]


_READ: dict[tuple[Path, int, int, int], Weights] = {}


def _checked(file: Path, tensors: Mapping[str, Tensor]) -> Weights:
    """Weights as float32, of which every number is finite."""
    kinds = [each.kind for each in read_header(file).values()]
    others = sorted({"F16", "BF16", "F64"}.intersection(kinds))
    words = " and ".join(str(_TYPES[kind]).removeprefix("torch.") for kind in others)
    some = count(sum(kind in others for kind in kinds), "tensor")
    notes = (f"{some} of {file.name}: {words}, read as float32",) if others else ()
    tensors = {
        name: each.to(torch.float32) if each.dtype.is_floating_point else each
        for name, each in tensors.items()
    }
    for name, each in tensors.items():
        if each.dtype.is_floating_point and not bool(torch.isfinite(each).all()):
            raise ModelError(f"{file}: tensor {shown(name)} has numbers that are infinite or not a number")
    return Weights(where=str(file), tensors=flushed(tensors), notes=notes)


def flushed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with 0 where a number is too small to be normal: such numbers make products up to 50 times slower.

    Example:
        >>> flushed({"w": torch.tensor([1e-40, 1.0])})["w"]
        tensor([0., 1.])
    """
    return {
        name: torch.where(each.abs() < _TINY, 0.0, each) if each.dtype == torch.float32 else each
        for name, each in tensors.items()
    }


def digest_of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """The hash that `files.digest_of` has of a file with these tensors.

    Example:
        >>> len(digest_of_tensors({"w": torch.zeros(2)}))
        64
    """
    hashed = hashlib.sha256()
    for name in sorted(tensors):
        each = tensors[name]
        hashed.update(json.dumps([name, _KINDS.get(each.dtype, str(each.dtype)), list(each.shape)]).encode())
        hashed.update(each.numpy().tobytes())
    return hashed.hexdigest()


def fill(whole: Architecture, weights: Weights, cut: str) -> None:
    """Give a network these weights, in place; only what the head takes the place of may be missing.

    Prefixes that wrappers leave are taken off the names where the network has no such name.

    Args:
        whole: the network, its own last layer included.
        weights: out of a file.
        cut: the module that the head takes the place of: its tensors are left alone.

    Raises:
        ModelError: a tensor is missing, has no place, or another shape or type.
    """
    own = whole.net.state_dict()
    needed = {name for name in own if not _within(name, cut) and not name.endswith(_COUNTER)}
    placed: dict[str, str] = {}
    for key in weights.tensors:
        name = _place(key, own, whole.renamed)
        if name in placed:
            raise ModelError(
                f"{weights.where}: tensors {shown(placed[name])} and {shown(key)} are both {shown(name)} of the network"
            )
        placed[name] = key
    given = {
        own[name].data_ptr() for name in placed if name in own
    }  # layers may share a tensor, which is stored once
    lacking = [
        name for name in own if name in needed and name not in placed and own[name].data_ptr() not in given
    ]
    left = [
        name
        for name in placed
        if name not in own and not _within(name, cut) and not name.startswith(whole.beside)
    ]
    if 2 * len(lacking) > len(needed):
        own_kind, some = type(whole.net).__name__, next(iter(weights.tensors), "none")
        raise ModelError(
            f"{weights.where}: these are weights of another network: of the {len(needed)} tensors of {own_kind} "
            f"{len(lacking)} are not in the file, such as {shown(lacking[0])} (it has {shown(some)}); give the "
            'network as target, such as target = "net:Small"'
        )
    if lacking:
        near = nearest(lacking[0], left)
        hint = f"; it has {shown(placed[near])}, which the network has not" if near else ""
        more = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
        raise ModelError(
            f"{weights.where}: lacks tensor {shown(lacking[0])} of the network{more}{hint}; only the head, "
            f"{shown(cut)}, may be missing"
        )
    if left:
        near = nearest(left[0], list(own))
        hint = f"; the nearest that it has is {shown(near)}" if near else ""
        more = f" (and {len(left) - 1} more)" if len(left) > 1 else ""
        raise ModelError(
            f"{weights.where}: tensor {shown(placed[left[0]])}{more} has no place in the network{hint}"
        )
    with torch.no_grad():
        for name, key in placed.items():
            if name in own and not _within(name, cut):
                _check_alike(weights, key, weights.tensors[key], own[name])
                own[name].copy_(weights.tensors[key])


def _check_alike(weights: Weights, key: str, given: Tensor, wanted: Tensor) -> None:
    if given.shape != wanted.shape:
        raise ModelError(
            f"{weights.where}: tensor {shown(key)} is {_sides(given)}, the network's is {_sides(wanted)}: these are "
            "weights of another network"
        )
    if given.dtype != wanted.dtype:
        kinds = [str(each.dtype).removeprefix("torch.") for each in (given, wanted)]
        raise ModelError(f"{weights.where}: tensor {shown(key)} is {kinds[0]}, the network's is {kinds[1]}")


def _place(key: str, own: Mapping[str, Tensor], renamed: Callable[[str], str]) -> str:
    """The network's name of a tensor of a file: the first that it has, while prefixes are taken off."""
    name = key
    while True:
        if name in own:
            return name
        if renamed(name) in own:
            return renamed(name)
        if not name.startswith(PREFIXES):
            return renamed(name)
        name = name.partition(".")[2]


def _within(name: str, cut: str) -> bool:
    return name.startswith(f"{cut}.")


def _sides(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a single number"
