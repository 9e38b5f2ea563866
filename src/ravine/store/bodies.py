"""Frozen weights that many runs have in common: a file for each body, beside the blocks.

A run that trains a head alone stores its head; its body is here, once. So are the tensors of a body that another run
has left as they were: their places among its weights are empty. A file's name says which body it is
(`body_id`) and what its bytes hash to, so that no table is needed.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from ravine.errors import InputError, StoreError
from ravine.store.core import Core
from ravine.store.database import portions
from ravine.store.records import parsed
from ravine.store.schema import runs
from ravine.study import content_id
from ravine.whole_file import write_whole

_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{32})\.safetensors")
_KIND = '"backbone"'  # as a recipe's text has it
_ELSEWHERE = (0, 0)  # the shape, in a run's weights, of a tensor that is its body's
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
        self._last: tuple[Path, dict[str, np.ndarray]] | None = None

    def has(self, model: Mapping[str, Any]) -> bool:
        """Whether the body of a model is here, undamaged."""
        path = _find(self._folder, body_id(model))
        try:
            return path is not None and bool(_read(path))
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
        """The body of a model: its tensors by name, shared by all who ask. Its hash is checked once.

        Raises:
            StoreError: it is not here, or the file is damaged.
        """
        path = _find(self._folder, body_id(model))
        if path is None:
            raise StoreError(
                f"{self._folder}: lacks the frozen weights of these runs; restore a backup, or run the study again"
            )
        if self._last is None or self._last[0] != path:
            self._last = path, _read(path)
        return self._last[1]

    def left_out(self, model: Mapping[str, Any], weights: Tensors) -> Tensors:
        """Weights of runs, where a tensor that all of them have in common with their body is empty.

        Args:
            model: what their recipes say of it.
            weights: (R, ...) by name.
        """
        if model.get("kind") != "backbone" or _find(self._folder, body_id(model)) is None:
            return weights
        body = self.get(model)
        return {
            name: np.empty((len(array), *_ELSEWHERE), array.dtype)
            if _all_are(array, body.get(name))
            else array
            for name, array in weights.items()
        }

    def completed(self, weights: Mapping[str, dict[str, np.ndarray]]) -> None:
        """Put what is their bodies' into weights of runs, in place.

        Args:
            weights: of each run by its id, as they are stored.

        Raises:
            StoreError: a body is not here, or damaged.
        """
        lacking = {run: _empty(own) for run, own in weights.items()}
        wanting = [run for run, names in lacking.items() if names]
        if not wanting:
            return
        with self._core.read() as connection:
            models = models_of(connection, wanting)
        for run in wanting:
            body = self.get(models[run])
            for name in lacking[run]:
                if name not in body:
                    raise StoreError(f"run {run}: the frozen weights in {self._folder} lack tensor {name!r}")
                weights[run][name] = body[name].astype(weights[run][name].dtype)


def models_of(connection: Connection, run_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What the recipes of runs say of their models."""
    found: dict[str, dict[str, Any]] = {}
    for some in portions(run_ids):
        for row in connection.execute(select(runs.c.id, runs.c.recipe).where(runs.c.id.in_(some))):
            found[row.id] = parsed(row.recipe, dict, f"run {row.id}: recipe").get("model", {})
    return found


def _all_are(array: np.ndarray, one: np.ndarray | None) -> bool:
    """Whether all rows are one array, bit for bit; rows in float64 one in float32 that was made longer."""
    if one is None or not array.size or array.shape[1:] != one.shape:
        return False
    if array.dtype not in (one.dtype, _wider(one.dtype)):
        return False
    same = one.astype(array.dtype).tobytes()
    return all(row.tobytes() == same for row in array)


def _wider(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(np.float64) if dtype == np.float32 else dtype


def beside(body: Tensors, own: Tensors) -> dict[str, np.ndarray]:
    """A body's tensors with a run's own, which take their place: in float64 where the run's are, as it was trained.

    Example:
        >>> body, own = {"a": np.ones(1, np.float32), "n": np.ones(1, np.int64)}, {"head": np.ones(1)}
        >>> {name: str(tensor.dtype) for name, tensor in beside(body, own).items()}
        {'a': 'float64', 'n': 'int64', 'head': 'float64'}
    """
    wide = any(tensor.dtype == np.float64 for tensor in own.values())
    given = (
        {name: each.astype(_wider(each.dtype)) for name, each in body.items() if name not in own}
        if wide
        else body
    )
    return {**given, **own}


def _empty(weights: Tensors) -> list[str]:
    return [name for name, array in weights.items() if array.shape == _ELSEWHERE]


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
