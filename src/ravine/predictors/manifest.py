"""`ravine.json`: all of an exported model but its weights, as data that are checked before anything is made of them."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from ravine.data.checked import check_preparation
from ravine.data.preparation import Preparation
from ravine.ensembles.pool import Pool
from ravine.errors import InputError, RavineError
from ravine.forms import Limits, Refused, plain, read
from ravine.metrics import Metric, metric_named
from ravine.predictors.vectors import as_json, of_json

FILE = "ravine.json"
FORMAT, SHARED_FORMAT, SCALED_FORMAT = 1, 2, 3
"""Of a folder. The second has a file with what all members have in common, the third members with their own scales."""
_LARGEST = 256 << 20  # bytes
_MOST_MEMBERS = 10_000
_WEIGHTS = re.compile(r"[0-9a-z][0-9a-z._-]{0,99}\.safetensors")
_SHA256 = re.compile(r"[0-9a-f]{64}")

Share = Annotated[float, Limits(above=0.0, most=1.0)]
Table = dict[str, Any]


def _file_name(value: object) -> str:
    if not isinstance(value, str) or not _WEIGHTS.fullmatch(value):
        raise ValueError("must be the name of a safetensors file in the folder")
    return value


def _digest(value: object) -> str:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError("must be 64 hex digits")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberEntry:
    """A member of an exported model.

    Args:
        name: in the pool.
        run: id of its run.
        share: its weight.
        file: its weights.
        sha256: of that file.
        size: of that file, in bytes.
        about: rule, hypers, seed, recipe and so on, for people.
    """

    name: Annotated[str, Limits(shortest=1, longest=300)]
    run: Annotated[str, Limits(longest=100)]
    share: Share
    file: Annotated[str, _file_name]
    sha256: Annotated[str, _digest]
    size: Annotated[int, Limits(least=0)]
    about: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedEntry:
    """What the weights of all members have in common: their body.

    Args:
        file: that has it.
        sha256: of that file.
        size: of that file, in bytes.
    """

    file: Annotated[str, _file_name]
    sha256: Annotated[str, _digest]
    size: Annotated[int, Limits(least=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TestVectors:
    """Raw inputs that nobody's data contain, with what the model says about them.

    Args:
        inputs: raw, by name.
        outputs: (N, K) probabilities, or (N, 1) values in the target's own units.
        allowed: how far another machine may be off: of a probability, or of a value in the target's scale.
    """

    __test__ = False  # no test of pytest's

    inputs: Table
    outputs: tuple[tuple[float, ...], ...]
    allowed: Annotated[float, Limits(above=0.0, most=0.01)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What `ravine.json` says.

    Args:
        format: of the folder.
        study: name of the study.
        what, text: what was exported, as a word and for people.
        model: the structure of the network; of a module of the user's, where it is.
        classes: their names by index; empty for a regression.
        preparation: what was done to raw values.
        members: sorted as in the pool.
        combine, temperature: how their outputs become one.
        pool: id of members, shares and how they are combined.
        data: name, fingerprint and sizes of the data set.
        scores: on validation, and on test where it was read, for people.
        refit: where the members were trained again on more data: on what; else None.
        versions: of the packages that it was exported with.
        created_at: ISO time, UTC.
        vectors: test vectors.
        shared: of backbones with one body, the file that has it; None: each member's file has all of its weights.
        scaled: each member's file has the scales of its own fold beside its weights.
        digest: of all else, by which a change is found that the test vectors do not feel.
    """

    format: int
    study: str
    what: str
    text: str
    model: Table
    classes: tuple[str, ...]
    preparation: Table
    members: Annotated[tuple[MemberEntry, ...], Limits(shortest=1, longest=_MOST_MEMBERS)]
    combine: Literal["mean", "logits", "vote"]
    temperature: Annotated[float, Limits(least=0.01, most=100.0)]
    pool: str
    data: Table
    scores: Table
    refit: Table | None
    versions: dict[str, str]
    created_at: str
    vectors: TestVectors
    shared: SharedEntry | None = None
    scaled: bool = False
    digest: str = ""

    def text_of(self) -> str:
        """As JSON; every number comes back to the last bit."""
        content = plain(self)
        if self.shared is None:  # as in format 1
            del content["shared"]
        if not self.scaled:
            del content["scaled"]
        content["digest"] = digest_of(content)
        # Many numbers: one line.
        vectors = json.dumps(content.pop("vectors"), allow_nan=False, ensure_ascii=False)
        head = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)
        return f'{head.removesuffix("}").rstrip()},\n "vectors": {vectors}\n}}\n'

    def metric(self, task: str) -> Metric | None:
        """What the study was judged by: the first of the scores, where that is a metric of ravine's."""
        first = next((each.get("scores") for each in self.scores.values() if isinstance(each, dict)), None)
        name = next(iter(first), None) if isinstance(first, dict) else None
        if not isinstance(name, str):
            return None
        try:
            found = metric_named(name.removeprefix("weighted_"))
        except InputError:  # a function, which a folder does not have
            return None
        return found if task in found.formulas else None

    @property
    def shares(self) -> dict[str, float]:
        """The weights of the pool, by name of the member."""
        return {each.name: each.share for each in self.members}


def read_manifest(folder: Path) -> tuple[Manifest, Preparation]:
    """The manifest of a folder, checked, and its preparation.

    Raises:
        InputError: there is none, or it is not one that ravine wrote.
    """
    path = folder / FILE
    content = _parsed(path)
    number = content.get("format")
    if isinstance(number, int) and not isinstance(number, bool) and number > SCALED_FORMAT:
        raise InputError(
            f"{path}: format {number}, which a later version of ravine writes; this one reads up to {SCALED_FORMAT}"
        )
    try:
        manifest: Manifest = read(Manifest, content)
        preparation = Preparation.of(manifest.preparation, f"{path}: preparation")
    except Refused as fault:
        raise InputError(fault.line(str(path))) from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply") from None
    needed = format_of(shared=manifest.shared is not None, scaled=manifest.scaled)
    if manifest.format != needed:
        raise InputError(f"{path}: format = {manifest.format}: must be {needed}")
    check_preparation(preparation, f"{path}: preparation")
    _check(manifest, preparation, path)
    if manifest.digest != digest_of(content):
        raise InputError(
            f"{path}: was changed: its digest is not that of what it says; export the model again"
        )
    return manifest, preparation


def format_of(*, shared: bool, scaled: bool) -> int:
    """The oldest format that has what a folder needs."""
    return SCALED_FORMAT if scaled else SHARED_FORMAT if shared else FORMAT


def vectors_of(manifest: Manifest, where: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Raw inputs and outputs of the test vectors.

    Raises:
        InputError: they are none.
    """
    try:
        # Texts are those of a file, in which "" is an empty cell.
        inputs = {
            name: array.astype(str) if array.dtype == object else array
            for name, array in of_json(manifest.vectors.inputs).items()
        }
        outputs = np.array(manifest.vectors.outputs, dtype=np.float64)
    except RavineError:
        raise
    except Exception:  # noqa: BLE001 (whatever NumPy says of shapes and types that somebody made up)
        raise InputError(f"{where}: vectors: they are no arrays") from None
    if not inputs or outputs.ndim != 2 or not len(outputs):
        raise InputError(f"{where}: vectors: there are none")
    return inputs, outputs


def entry_of(inputs: Mapping[str, np.ndarray], outputs: np.ndarray, allowed: float) -> TestVectors:
    """Test vectors as a manifest has them."""
    return TestVectors(
        inputs=as_json(inputs), outputs=tuple(tuple(row) for row in outputs.tolist()), allowed=allowed
    )


def digest_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of what a manifest says, in whatever order and with whatever spaces it is written."""
    rest = {key: value for key, value in content.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def is_model(folder: Path) -> bool:
    """Whether a folder is an exported model."""
    try:
        return (folder / FILE).is_file()
    except OSError:
        return False


def _parsed(path: Path) -> dict[str, Any]:
    try:
        if not path.is_file():
            raise InputError(f"{path.parent}: no exported model: there is no {FILE} in it")
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path}: more than {_LARGEST >> 20} MiB; it is none that ravine wrote")
        content = json.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {str(error).splitlines()[0][:100]}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: must be a JSON object")
    return content


def _check(manifest: Manifest, preparation: Preparation, path: Path) -> None:
    shares = manifest.shares
    if len(shares) < len(manifest.members):
        raise InputError(f"{path}: members: two have the same name")
    if not math.isclose(sum(shares.values()), 1.0, rel_tol=1e-9):
        raise InputError(
            f"{path}: members: their shares have the sum {sum(shares.values()):.6g}; it must be 1"
        )
    if Pool(weights=shares, combine=manifest.combine).id != manifest.pool:
        raise InputError(f"{path}: pool: not the id of these members and shares: the file was changed")
    if manifest.classes != preparation.classes:
        raise InputError(f"{path}: classes: not those of the preparation's target: the file was changed")
    if preparation.task == "regression" and manifest.combine != "mean":
        raise InputError(f"{path}: combine = {manifest.combine!r}: of a regression it must be mean")
