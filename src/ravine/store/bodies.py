"""Frozen weights that many runs have in common: a file for each body, beside the blocks.

A run that trains a head alone stores its head; its body is here, once. A file's name says which body it is (`body_id`)
and what its bytes hash to, so that no table is needed.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from ravine.errors import InputError, StoreError
from ravine.store.core import Core
from ravine.store.records import parsed
from ravine.store.schema import runs
from ravine.study import content_id
from ravine.whole_file import write_whole

_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{32})\.safetensors")
_KIND = '"backbone"'  # as a recipe's text has it
_IDENTIFIES = ("architecture", "args", "weights", "cut")

Tensors = Mapping[str, np.ndarray]


def body_id(model: Mapping[str, Any]) -> str:
    """What two models with the same body have in common: 16 hex digits.

    Args:
        model: what a recipe says of it.

    Example:
        >>> body_id({"weights": "ab", "head": {"hidden": []}}) == body_id({"weights": "ab", "head": {"hidden": [8]}})
        True
    """
    return content_id({name: model.get(name) for name in _IDENTIFIES})


class Bodies:
    """The part of a store with frozen weights. A store has one: ``store.bodies``.

    Args:
        core: of an open store.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._folder = folder_of(core)

    def has(self, model: Mapping[str, Any]) -> bool:
        """Whether the body of a model is here, undamaged."""
        try:
            return bool(self.get(model))
        except StoreError:
            return False

    def put(self, model: Mapping[str, Any], tensors: Tensors) -> None:
        """Keep the body of a model.

        Args:
            model: what a recipe says of it.
            tensors: by name.

        Raises:
            StoreError: it cannot be written.
        """
        from safetensors.numpy import save

        with self._core.write():  # refused where a store can only be read
            data = save(
                {name: np.require(tensor, requirements="C") for name, tensor in sorted(tensors.items())}
            )
            name = f"{body_id(model)}-{hashlib.sha256(data).hexdigest()[:32]}.safetensors"
            try:
                self._folder.mkdir(exist_ok=True)
                write_whole(self._folder / name, data)
            except OSError as error:
                raise StoreError(f"cannot write {self._folder}: {error.strerror}") from None
            except InputError as error:
                raise StoreError(str(error)) from None

    def get(self, model: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The body of a model: its tensors by name, shared by all who ask.

        Raises:
            StoreError: it is not here, or the file is damaged.
        """
        path = _find(self._folder, body_id(model))
        if path is None:
            raise StoreError(
                f"{self._folder}: lacks the frozen weights of these runs; restore a backup, or run the study again"
            )
        return _read(path)


def folder_of(core: Core) -> Path:
    """Where bodies lie."""
    return core.blocks.parent / "bodies"


def damaged(core: Core) -> Iterator[str]:
    """A line for each file that is not what its name says."""
    for path in _files(folder_of(core)):
        try:
            _read(path)
        except StoreError as error:
            yield str(error)


def remove_unused(core: Core, connection: Connection) -> None:
    """Remove the bodies that no run of a store needs any more."""
    files = list(_files(folder_of(core)))
    if not files:
        return
    recipes = connection.scalars(select(runs.c.recipe).where(runs.c.recipe.contains(_KIND)).distinct())
    used = {body_id(parsed(recipe, dict, "a run: recipe").get("model", {})) for recipe in recipes}
    for path in files:
        if path.name[:16] not in used:
            with suppress(OSError):
                path.unlink()


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def _find(folder: Path, name: str) -> Path | None:
    return next((path for path in _files(folder) if path.name.startswith(name)), None)


def _read(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise StoreError(f"{path} is not a regular file")
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from None
    found = hashlib.sha256(data).hexdigest()[:32]
    if found != path.name[17:49]:
        raise StoreError(
            f"{path} is damaged: its SHA-256 is {found[:12]}..., its name says {path.name[17:29]}..."
        )
    try:
        return dict(load(data))
    except SafetensorError as error:
        raise StoreError(f"cannot read {path}: {error}") from None
