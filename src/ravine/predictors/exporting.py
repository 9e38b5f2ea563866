"""Writes a predictor as a folder: weights, `ravine.json`, a model card, the network as plain PyTorch, an ONNX graph.

The folder appears all at once: it is written beside its place and then renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from ravine.backbones.assembled import Assembled
from ravine.data.preparation import Preparation
from ravine.ensembles.scoring import WIDEST
from ravine.errors import InputError, short
from ravine.launch.machine import versions
from ravine.messages import printable
from ravine.predictors.bodies import BODY, own_tensors
from ravine.predictors.card import card
from ravine.predictors.choice import Choice
from ravine.predictors.graph.door import require_onnx, write_graph
from ravine.predictors.loading import GRAPH, outputs_for
from ravine.predictors.manifest import (
    FILE,
    Manifest,
    MemberEntry,
    SharedEntry,
    entry_of,
    format_of,
    is_model,
)
from ravine.predictors.modules import BUILT_IN
from ravine.predictors.predictor import Predictor
from ravine.predictors.rescaled import Rescaled
from ravine.predictors.source import source_of
from ravine.predictors.source_lite0 import lite0_source
from ravine.predictors.vectors import prepared, raw_vectors

CARD, SOURCE = "README.md", "model.py"
_BODY = "body"
_ALLOWED = 1e-4  # of a probability, or of a value in the target's scale: other machines round otherwise
_ROUNDING = 3e-6  # of the largest logit
_OURS = re.compile(r"ravine\.json|README\.md|model\.py|model\.onnx|[0-9a-z][0-9a-z._-]*\.safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written.

    Attributes:
        folder: where.
        files: their names.
        num_members: how many models it has.
        num_bytes: of all files.
        what: what was exported, for people.
        onnx: by how much the ONNX graph is off on its test vectors; None where there is none.
    """

    folder: Path
    files: tuple[str, ...]
    num_members: int
    num_bytes: int
    what: str
    onnx: float | None = None

    def json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "folder": str(self.folder),
            "what": self.what,
            "files": list(self.files),
            "members": self.num_members,
            "bytes": self.num_bytes,
            "onnx_off": self.onnx,
        }

    def __str__(self) -> str:
        size = f"{self.num_bytes / 1e6:.1f} MB" if self.num_bytes >= 1e5 else f"{self.num_bytes / 1e3:.1f} kB"
        files = ", ".join(self.files)
        return f"{self.folder}: {self.what}; {size}: {files}"


def check_out(folder: Path, *, force: bool = False) -> None:
    """See that a model can be written there, before anything is computed.

    Raises:
        InputError: something else is there, or nothing can be written.
    """
    if folder.name in ("", "..") or "\0" in str(folder):
        raise InputError(f"{printable(str(folder))}: name a folder that is not there yet")
    try:
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise InputError(f"{folder}: is not a folder; name one that is not there yet")
        if not folder.parent.is_dir():
            raise InputError(f"{folder}: there is no folder {folder.parent}")
        inside = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise InputError(f"{short(str(folder), 80)}: cannot be used: {error.strerror}") from None
    if not inside:
        return
    others = [name for name in inside if not _OURS.fullmatch(name)]
    if not is_model(folder) or others:
        name = (others or inside)[0]
        raise InputError(
            f"{folder}: {name!r} is in it, which belongs to no exported model; name another folder"
        )
    if not force:
        raise InputError(
            f"{folder}: there is a model in it already; --force (in Python force=True) replaces it, or name another "
            "folder"
        )


def export_folder(
    predictor: Predictor,
    choice: Choice,
    folder: Path,
    *,
    scores: Mapping[str, Any],
    onnx: bool = False,
    refit: Mapping[str, Any] | None = None,
    force: bool = False,
) -> Exported:
    """Write a predictor.

    Args:
        predictor: its members are modules.
        choice: where it comes from.
        folder: not there yet, or empty; with `force` it may be an exported model.
        scores: for `ravine.json` and the card.
        onnx: also write the graph from raw values to probabilities.
        refit: on what its members were trained again; None: they are the runs of the study.
        force: replace a model that is there.

    Raises:
        InputError: it cannot be written, or something else is there.
    """
    check_out(folder, force=force)
    if onnx:
        require_onnx("--onnx")
    _check_alike(predictor, choice)
    with _beside(folder) as inside:
        manifest = _manifest(predictor, choice, inside, scores, refit)
        _write(inside / FILE, manifest.text_of().encode())
        source = _source(predictor, manifest)
        if source is not None:
            _write(inside / SOURCE, source.encode())
        checked = None
        if onnx:
            facts = {
                "study": manifest.study,
                "what": manifest.what,
                "runs": [each.about for each in manifest.members],
                "data": manifest.data,
            }
            checked = write_graph(predictor, inside / GRAPH, facts=facts, members=True)
        text = card(manifest, predictor.preparation, plain=source is not None, onnx=checked)
        _write(inside / CARD, text.encode())
        files = sorted(path.name for path in inside.iterdir())
        size = sum((inside / name).stat().st_size for name in files)
    return Exported(
        folder=folder,
        files=tuple(files),
        num_members=len(predictor.members),
        num_bytes=size,
        what=choice.text,
        onnx=None if checked is None else checked.worst,
    )


def _check_alike(predictor: Predictor, choice: Choice) -> None:
    """See that one model builds all members.

    Raises:
        InputError: it does not.
    """
    modules = [each.model for each in predictor.members if isinstance(each.model, nn.Module)]
    shapes = {tuple((name, *each.shape) for name, each in module.named_parameters()) for module in modules}
    if len(shapes) > 1:
        raise InputError(
            f"study {choice.study.name!r}, what = {choice.what!r}: its networks are of {len(shapes)} structures, and a "
            "folder has one; name a run, or export a study with one model"
        )


def _source(predictor: Predictor, manifest: Manifest) -> str | None:
    """The network as plain PyTorch; None where its code is not ravine's."""
    first, file = predictor.members[0].model, manifest.members[0].file
    assert isinstance(first, nn.Module), "only modules are exported"
    if isinstance(first, Rescaled):  # each with scales of its own
        return None
    returns = "logits" if predictor.classes else "values in units of the scaled target"
    if manifest.model.get("kind") in BUILT_IN:
        return source_of(first, file, returns)
    files = [file] if manifest.shared is None else [manifest.shared.file, file]
    return lite0_source(first, files, returns)


def _manifest(
    predictor: Predictor,
    choice: Choice,
    folder: Path,
    scores: Mapping[str, Any],
    refit: Mapping[str, Any] | None,
) -> Manifest:
    inputs = raw_vectors(predictor.preparation.inputs)
    outputs = outputs_for(predictor, inputs)
    x = prepared(predictor.preparation.inputs, inputs)
    largest = 0.0
    if predictor.classes:
        largest = max(float(np.abs(each).max(initial=0.0)) for each in predictor.outputs(x).values())
    rounding = _ROUNDING * largest / max(predictor.temperature, 1.0 / WIDEST)
    files = _file_names([_BODY, *(each.name for each in predictor.members)])
    shared, common = None, frozenset[str]()
    metadata: dict[str, str] | None = None
    first = predictor.members[0].model
    if isinstance(first, Assembled):
        metadata = _metadata(predictor.preparation)
        if all(
            isinstance(each.model, Assembled) and each.model.body is first.body for each in predictor.members
        ):
            common = frozenset(name for name in own_tensors(first) if name.startswith(BODY))
            data = _tensors(first, keep=common)
            _write(folder / files[_BODY], data)
            shared = SharedEntry(file=files[_BODY], sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    members = []
    for part, member in zip(predictor.members, choice.members, strict=True):
        assert isinstance(part.model, nn.Module), "only modules are exported"
        own = own_tensors(part.model).keys() - common
        data = _tensors(part.model, keep=own, metadata=metadata)
        _write(folder / files[part.name], data)
        run = choice.runs[member.run]
        about = {
            "rule": run.rule,
            "hypers": dict(run.hypers),
            "seed": run.seed,
            "steps": run.weights_of,
            "average": member.average or None,
            "recipe": run.recipe,
        }
        members.append(
            MemberEntry(
                name=part.name,
                run=member.run,
                share=part.share,
                file=files[part.name],
                sha256=hashlib.sha256(data).hexdigest(),
                size=len(data),
                about=about,
            )
        )
    labels, scaled = choice.labels, isinstance(first, Rescaled)
    sizes = dict(zip(("training", "validation", "test"), labels.sizes, strict=True))
    return Manifest(
        format=format_of(shared=shared is not None, scaled=scaled),
        study=choice.study.name,
        what=choice.what,
        text=choice.text,
        model=dict(choice.runs[choice.members[0].run].recipe["model"]),
        classes=predictor.classes,
        preparation=predictor.preparation.content(),
        members=tuple(members),
        combine=predictor.combine,
        temperature=predictor.temperature,
        pool=predictor.pool.id,
        data={"name": labels.name, "fingerprint": choice.study.data_fingerprint, "sizes": sizes}
        if not choice.folds
        else {"name": labels.name, "fingerprint": choice.study.data_fingerprint, "folds": choice.folds},
        scores=dict(scores),
        refit=None if refit is None else dict(refit),
        versions=versions(),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        vectors=entry_of(inputs, outputs, min(0.01, max(_ALLOWED, rounding))),
        shared=shared,
        scaled=scaled,
    )


def _tensors(module: nn.Module, *, keep: Collection[str], metadata: Mapping[str, str] | None = None) -> bytes:
    """Some weights of a module as safetensors; what several layers share is written once."""
    from safetensors.numpy import save

    return save(
        {
            name: np.ascontiguousarray(tensor.detach().cpu().numpy())
            if tensor.ndim
            else tensor.detach().cpu().numpy()
            for name, tensor in own_tensors(module).items()
            if name in keep
        },
        metadata=None if metadata is None else dict(metadata),
    )


def _metadata(preparation: Preparation) -> dict[str, str]:
    """What a file of weights says of itself: what goes in, and what the outputs are called."""
    content = preparation.content()
    texts = {"preprocessing": content["inputs"], "classes": list(preparation.classes)}
    return {name: json.dumps(each, allow_nan=False, ensure_ascii=False) for name, each in texts.items()}


def _file_names(names: Sequence[str]) -> dict[str, str]:
    """A file for each member, named after it."""
    found: dict[str, str] = {}
    for number, name in enumerate(names):
        plain = re.sub(r"[^0-9a-z.]+", "-", name.lower()).strip("-.")[:80] or "member"
        file = f"{plain}.safetensors"
        found[name] = file if file not in found.values() else f"{plain}-{number}.safetensors"
    return found


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """A new folder that takes its name when all is written; what was there is removed only then.

    Raises:
        InputError: the disk is full, or something cannot be written.
    """
    mark = uuid.uuid4().hex[:8]
    new, old = (folder.with_name(f".{folder.name[:80]}.{mark}.{word}") for word in ("new", "old"))
    try:
        new.mkdir()
        yield new
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror or error}") from None
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(new, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
