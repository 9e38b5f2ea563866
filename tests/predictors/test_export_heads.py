"""Heads on a frozen body, from pictures in folders to a folder that predicts: the body is there once, all is data."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file
from safetensors.torch import save_file

import ravine
from ravine.errors import InputError
from ravine.predictors.loading import load_model
from ravine.predictors.manifest import digest_of
from ravine.store import Store

NET = """
from torch import nn

class Small(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU6(), nn.Conv2d(6, 8, 3), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
        )
"""
STUDY = """
name = "heads"
data = { kind = "images", path = "pictures", size = 8 }
seeds = 2

[model]
kind = "backbone"
target = "net:Small"
weights = "file:small.safetensors"
input = { mean = [0.5], std = [0.25], crop = 0.8 }

[[phases]]
train = "head"
steps = 20

[[rules]]
kind = "adamw"
lr = [0.01, 0.1]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Pictures, a study of heads that has run, its exported ensemble; the weights of the body are gone."""
    folder = tmp_path_factory.mktemp("heads")
    (folder / "net.py").write_text(NET)
    (folder / "heads.toml").write_text(STUDY)
    draw = np.random.default_rng(0)
    for split, number in (("train", 12), ("test", 5)):
        for at, name in enumerate(("red", "green", "blue")):
            (folder / "pictures" / split / name).mkdir(parents=True)
            for i in range(number):
                pixels = draw.integers(0, 200, (10 + i, 14, 3))
                pixels[..., at] += 55
                Image.fromarray(pixels.astype(np.uint8)).save(folder / "pictures" / split / name / f"{i}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        sys.modules.pop("net", None)
        patch.syspath_prepend(str(folder))
        from net import Small  # type: ignore[import-not-found]

        torch.manual_seed(0)
        save_file(Small().state_dict(), folder / "small.safetensors")
        ravine.run("heads.toml", quiet=True, device="cpu")
        (folder / "small.safetensors").rename(folder / "away.safetensors")
        ravine.export("heads", out="model", what="ensemble", model="net:Small")
        yield folder
    sys.modules.pop("net", None)


@pytest.fixture(autouse=True)
def _inside(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


def test_the_body_is_in_the_folder_once_and_heads_say_what_they_are_for(place: Path) -> None:
    names = sorted(path.name for path in (place / "model").iterdir())
    heads = [name for name in names if re.fullmatch("[0-9a-f]{16}.safetensors", name)]
    assert len(heads) == 2
    assert names == sorted([*heads, "body.safetensors", "README.md", "ravine.json"])
    body = load_file(place / "model" / "body.safetensors")
    own = load_file(place / "away.safetensors")
    for name, tensor in own.items():
        if not name.startswith("7."):
            assert np.array_equal(body[f"body.{name}"], tensor)
    for name in heads:
        with safe_open(place / "model" / name, "np") as file:
            assert {key.split(".")[0] for key in file.keys()} == {"head"}  # noqa: SIM118 (no mapping)
            about = {key: json.loads(text) for key, text in file.metadata().items()}
        assert about["classes"] == ["blue", "green", "red"]
        sheet = about["preprocessing"]["reading"]["sheet"]
        assert (sheet["size"], sheet["crop"], sheet["mean"]) == ([8, 8], 0.8, [0.5] * 3)


def test_the_folder_predicts_what_the_store_predicts_and_what_the_heads_said_of_features(place: Path) -> None:
    stored = ravine.predict("heads", "pictures/test", what="ensemble", model="net:Small")
    taken = ravine.predict("model", "pictures/test", model="net:Small")
    assert stored.probabilities is not None
    assert taken.probabilities is not None
    assert stored.probabilities.tobytes() == taken.probabilities.tobytes()
    assert taken.scores["accuracy"] > 0.6
    predictor = load_model("model", model="net:Small")[0]
    with Store("runs", create=False) as store:
        x = predictor.preparation.inputs.apply(taken.files)
        for name, logits in predictor.outputs(x).items():
            kept = store.tensors("predictions", name)["test"]
            np.testing.assert_allclose(logits, kept, rtol=1e-4, atol=1e-5)
        assert {each.share for each in predictor.members} == {0.5}
        assert store.check() == []


def test_single_pictures_of_any_size(place: Path, tmp_path: Path) -> None:
    for number, (size, mode) in enumerate([((300, 200), "RGB"), ((3, 40), "RGB"), ((9, 9), "L")]):
        file = tmp_path / f"{number}.png"
        Image.new(mode, size, 200).save(file)
        found = ravine.predict("model", file, model="net:Small")
        assert found.predicted[0] in ("red", "green", "blue")
    assert len(ravine.predict("model", tmp_path, model="net:Small")) == 3


def test_the_card_reads_a_picture_as_the_model_does(place: Path) -> None:
    card = (place / "model" / "README.md").read_text()
    assert "z = (features - `head.standard.mean`) / `head.standard.deviation`" in card
    assert "To use it without ravine, export with `--onnx`" in card
    assert "scaled to cover 10 x 10 (bicubic) and cropped around their centre" in card
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    file = place / "pictures" / "test" / "red" / "4.png"
    names: dict[str, Any] = {}
    exec(code.replace("picture.jpg", str(file)), names)
    inputs = load_model("model", model="net:Small")[0].preparation.inputs
    np.testing.assert_array_equal(
        inputs.scaling(names["x"].transpose(0, 3, 1, 2)),  # type: ignore[operator]
        inputs.apply([str(file)]),
    )


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "ravine.json"
    content = json.loads(path.read_text())
    change(content)
    content["digest"] = digest_of(content)  # by somebody who knows it
    path.write_text(json.dumps(content))


def twice(folder: Path) -> None:
    """A head's file with a tensor of the body in it."""
    from safetensors.numpy import save

    def of(content: dict[str, Any]) -> None:
        entry = content["members"][0]
        tensors = {**load_file(folder / entry["file"]), "body.0.bias": np.zeros(6, np.float32)}
        data = save(tensors)
        (folder / entry["file"]).write_bytes(data)
        entry.update(sha256=hashlib.sha256(data).hexdigest(), size=len(data))

    changed(folder, of)


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no body": (lambda f: (f / "body.safetensors").unlink(), "body.safetensors: cannot be read"),
    "another body": (lambda f: (f / "body.safetensors").write_bytes(b"x"), "body.safetensors: has 1 bytes"),
    "a link": (
        lambda f: (shutil.move(f / "body.safetensors", f / "b"), (f / "body.safetensors").symlink_to(f / "b")),
        "is not a plain file",
    ),
    "a path outside": (
        lambda f: changed(f, lambda c: c["shared"].update(file="../x.safetensors")),
        "must be the name of a safetensors file in the folder",
    ),
    "no shared file": (lambda f: changed(f, lambda c: c.pop("shared")), "format = 2: must be 1"),
    "a tensor twice": (twice, "is in the file of all members too"),
    "a wide head": (
        lambda f: changed(f, lambda c: c["model"]["head"].update(hidden=[1_000_000] * 99)),
        "head.linear1.weight is missing",
    ),
    "a large picture": (
        lambda f: changed(
            f, lambda c: c["preparation"]["inputs"]["reading"]["sheet"].update(size=[10**6, 10**6])
        ),
        "",
    ),
    "another cut": (lambda f: changed(f, lambda c: c["model"].update(cut="0")), "its weights are not its model's"),
    "no class": (lambda f: changed(f, lambda c: c["model"].update(norm="thawed")), "norm"),
}  # fmt: skip


@pytest.mark.parametrize("how", HOSTILE)
def test_a_folder_that_was_changed_is_refused_in_one_line(place: Path, tmp_path: Path, how: str) -> None:
    change, words = HOSTILE[how]
    shutil.copytree(place / "model", tmp_path / "model")
    change(tmp_path / "model")
    with pytest.raises(InputError) as error:
        ravine.predict(tmp_path / "model", place / "pictures" / "test", model="net:Small")
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_no_code_is_run_that_only_a_folder_names() -> None:
    with pytest.raises(InputError, match=r"its network is a module of yours.*--model"):
        ravine.predict("model", "pictures/test")
    with pytest.raises(InputError, match="of a backbone it must be a name"):
        ravine.predict("model", "pictures/test", model=torch.nn.Identity)


@pytest.mark.slow
def test_the_graph_stands_for_the_code(place: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    written = ravine.export("heads", out=tmp_path / "model", what="ensemble", model="net:Small", onnx=True)
    assert written.onnx is not None
    assert written.onnx < 1e-5
    by_code = ravine.predict("model", "pictures/test", model="net:Small")
    by_graph = ravine.predict(tmp_path / "model", "pictures/test")
    np.testing.assert_allclose(by_code.probabilities, by_graph.probabilities, atol=1e-5)  # type: ignore[arg-type]
