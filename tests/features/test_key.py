"""Whatever features depend on changes the key that they are kept under; nothing else does."""

from __future__ import annotations

import inspect
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import small_backbone
from ravine.backbones import sheet
from ravine.cached import key_hash
from ravine.data import load, parse_data
from ravine.features.features import key_of
from ravine.study.model import parse_model, structure_of
from small_backbone import Small, trained

Image = pytest.importorskip("PIL.Image", reason="pillow (extra images) writes the pictures")

MODEL: dict[str, Any] = {
    "kind": "backbone",
    "weights": "file:small.safetensors",
    "target": "keyed_small:Small",
    "input": {"size": 8, "mean": [0.5], "std": [0.5]},
}
DATA: dict[str, Any] = {"kind": "images", "path": "pictures"}
Changed = tuple[dict[str, Any], dict[str, Any]]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    (folder / "keyed_small.py").write_text(inspect.getsource(small_backbone), encoding="utf-8")
    torch.manual_seed(4)
    save_file(trained(Small()).state_dict(), folder / "small.safetensors")
    draw = np.random.default_rng(0)
    for name in "ab":
        (folder / "pictures" / name).mkdir(parents=True)
        for i in range(6):
            pixels = draw.integers(0, 256, (13, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "pictures" / name / f"{i}.png")
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Iterator[Path]:
    """The same folder again, since its code has been imported; what a test changes in it is undone."""
    shutil.copytree(original, tmp_path / "as it was")
    yield original
    shutil.rmtree(original)
    shutil.copytree(tmp_path / "as it was", original)


def key(folder: Path, model: dict[str, Any], data: dict[str, Any]) -> str:
    spec, _ = parse_model(model)
    found = load(parse_data(data), base=folder, reading=sheet(spec, folder))  # type: ignore[arg-type]
    return key_hash(key_of(structure_of(spec, folder), found, torch.device("cpu")))


@pytest.fixture(scope="module")
def known(original: Path) -> str:
    return key(original, MODEL, DATA)


def input_of(**changes: object) -> Callable[[Path], Changed]:
    return lambda _: ({**MODEL, "input": {**MODEL["input"], **changes}}, DATA)


def model_of(**changes: object) -> Callable[[Path], Changed]:
    return lambda _: ({**MODEL, **changes}, DATA)


def data_of(**changes: object) -> Callable[[Path], Changed]:
    return lambda _: (MODEL, {**DATA, **changes})


def tensor(name: str) -> Callable[[Path], Changed]:
    """Flip the lowest bit of a tensor's first number."""

    def change(folder: Path) -> Changed:
        tensors = load_file(folder / "small.safetensors")
        flat = tensors[name].reshape(-1).view(torch.int32)
        flat[0] ^= 1
        save_file(tensors, folder / "small.safetensors")
        return MODEL, DATA

    return change


def renamed_tensor(folder: Path) -> Changed:
    tensors = load_file(folder / "small.safetensors")
    tensors["mixed.other"] = tensors.pop("mixed.bias")
    save_file(tensors, folder / "small.safetensors")
    return MODEL, DATA


def code(folder: Path) -> Changed:
    text = (folder / "keyed_small.py").read_text(encoding="utf-8")
    (folder / "keyed_other.py").write_text(text.replace("-0.5, 2.0", "-0.5, 2.5"), encoding="utf-8")
    return {**MODEL, "target": "keyed_other:Small"}, DATA


def pixel(folder: Path) -> Changed:
    path = folder / "pictures" / "a" / "0.png"
    pixels = np.array(Image.open(path))
    pixels[6, 6, 1] ^= 255
    Image.fromarray(pixels).save(path)
    return MODEL, DATA


def in_place(folder: Path) -> Changed:
    """Two files change places: the same names, and the same time of the last change."""
    one, other = (folder / "pictures" / name / "0.png" for name in "ab")
    state = one.stat()
    one.rename(folder / "between")
    other.rename(one)
    (folder / "between").rename(other)
    for path in (one, other):
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    return MODEL, DATA


def one_more(folder: Path) -> Changed:
    shutil.copy(folder / "pictures" / "a" / "0.png", folder / "pictures" / "a" / "6.png")
    return MODEL, DATA


def other_class(folder: Path) -> Changed:
    (folder / "pictures" / "a").rename(folder / "pictures" / "c")
    return MODEL, DATA


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(tensor("stem.weight"), id="a weight's bit"),
        pytest.param(tensor("stem.bias"), id="a bias's bit", marks=pytest.mark.slow),
        pytest.param(tensor("norm.weight"), id="a norm's scale", marks=pytest.mark.slow),
        pytest.param(tensor("norm.bias"), id="a norm's shift", marks=pytest.mark.slow),
        pytest.param(tensor("wide_norm.running_mean"), id="a running mean", marks=pytest.mark.slow),
        pytest.param(tensor("inner_norm.running_var"), id="a running variance"),
        pytest.param(renamed_tensor, id="a tensor's name"),
        pytest.param(code, id="the network's code"),
        pytest.param(model_of(target="keyed_small:Wider"), id="another network", marks=pytest.mark.slow),
        pytest.param(model_of(cut="mixed"), id="the cut"),
        pytest.param(pixel, id="a pixel"),
        pytest.param(in_place, id="files renamed in place"),
        pytest.param(one_more, id="one picture more", marks=pytest.mark.slow),
        pytest.param(other_class, id="a class's name"),
        pytest.param(data_of(size=9), id="data.size"),
        pytest.param(input_of(size=10), id="size"),
        pytest.param(input_of(crop=0.8), id="crop", marks=pytest.mark.slow),
        pytest.param(input_of(resize="squash"), id="resize", marks=pytest.mark.slow),
        pytest.param(input_of(interpolation="bilinear"), id="interpolation"),
        pytest.param(input_of(mean=[0.5, 0.4, 0.5]), id="mean"),
        pytest.param(input_of(std=[0.25]), id="std", marks=pytest.mark.slow),
        pytest.param(input_of(range=[0.0, 2.0]), id="range", marks=pytest.mark.slow),
        pytest.param(input_of(channels="bgr"), id="channels"),
        pytest.param(None, id="torch's version"),
    ],
)
def test_whatever_features_depend_on_changes_the_key(
    change: Callable[[Path], Changed] | None, folder: Path, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if change is None:
        monkeypatch.setattr(torch, "__version__", "9.0.0")
    model, data = (MODEL, DATA) if change is None else change(folder)
    assert key(folder, model, data) != known


def test_what_computes_them_changes_the_key(
    original: Path, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    assert key(original, MODEL, DATA) != known
    monkeypatch.undo()
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")
    assert key(original, MODEL, DATA) != known


@pytest.mark.parametrize(
    "model",
    [{"head": {"hidden": [8], "dropout": 0.2}}, {"norm": "affine"}, {"weights": "file:moved.safetensors"}],
    ids=["head", "norm", "a file's name"],
)
def test_nothing_else_changes_it(model: dict[str, Any], folder: Path, known: str) -> None:
    shutil.copy(folder / "small.safetensors", folder / "moved.safetensors")
    assert key(folder, {**MODEL, **model}, DATA) == known
