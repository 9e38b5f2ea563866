"""EfficientNet-Lite0 with its weights, from pictures in folders called 1, 2 and 10 to other people's programs."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import ravine
from ravine.backbones.lite0_names import own_name
from ravine.backbones.loading import read_builtin
from ravine.cli.main import main
from ravine.errors import ModelError
from ravine.predictors.loading import load_model

pytestmark = pytest.mark.slow
NAMES = ("1", "10", "2")  # as they are sorted; numbers of classes would be others
STUDY = """
name = "lite0"
data = { kind = "images", path = "pictures", size = 64 }
seeds = 2
batch_size = 8
rules = [{ kind = "adam", lr = 0.01 }]
phases = [{ train = "head", epochs = 4 }]
model = { kind = "backbone", weights = "builtin:efficientnet-lite0" }
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Pictures of three colours, and what became of a study of them: a folder with a graph."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    try:
        read_builtin("efficientnet-lite0")
    except ModelError:
        pytest.skip("its weights (extra pretrained) are not installed")
    folder = tmp_path_factory.mktemp("lite0")
    draw = np.random.default_rng(0)
    for split, number in (("train", 12), ("test", 4)):
        for at, name in enumerate(NAMES):
            (folder / "pictures" / split / name).mkdir(parents=True)
            for i in range(number):
                pixels = draw.integers(0, 120, (60 + i, 90, 3))
                pixels[..., at] += 120
                Image.fromarray(pixels.astype(np.uint8)).save(folder / "pictures" / split / name / f"{i}.png")
    (folder / "lite0.toml").write_text(STUDY)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["run", "lite0.toml", "--quiet"]) == 0
        assert main(["export", "lite0", "--what", "ensemble", "--out", "model", "--onnx"]) == 0
        yield folder


def pixels_of(place: Path) -> np.ndarray:
    """The pictures of test as the network is fed them, written out with Pillow: uint8 (N, 64, 64, 3)."""
    found = []
    for file in sorted((place / "pictures" / "test").glob("*/*.png")):
        with Image.open(file) as image:
            width = 73 * image.width // image.height
            scaled = image.resize((width, 73), Image.Resampling.BICUBIC)
        left, top = round((width - 64) / 2), round((73 - 64) / 2)
        found.append(np.asarray(scaled.crop((left, top, left + 64, top + 64))))
    return np.stack(found)


def test_classes_come_back_by_their_names(place: Path) -> None:
    assert main(["predict", "lite0", "pictures/test", "--what", "ensemble", "--out", "found.csv"]) == 0
    rows = [line.split(",") for line in (place / "found.csv").read_text().splitlines()[1:]]
    assert [file for file, _ in rows] == sorted(
        str(file.relative_to(place)) for file in (place / "pictures" / "test").glob("*/*.png")
    )
    right = [Path(file).parent.name == answer for file, answer in rows]
    assert np.mean(right) > 0.9, "colours are easy"


def test_the_graph_says_of_pixels_what_the_run_says_of_files(place: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(place / "model" / "model.onnx"))
    probabilities, labels, _ = session.run(None, {"x": pixels_of(place)})
    found = ravine.predict("lite0", "pictures/test", what="ensemble")
    np.testing.assert_allclose(probabilities, found.probabilities, atol=1e-4)
    assert labels.tolist() == list(found.predicted)


def test_the_plain_network_and_the_card_lead_to_the_same_probabilities(place: Path) -> None:
    folder = place / "model"
    _, manifest, _ = load_model(folder)
    names = runpy.run_path(str(folder / "model.py"))
    x = torch.from_numpy((pixels_of(place).transpose(0, 3, 1, 2) / 255 - 0.5) / 0.5).float()
    mean = 0.0
    for member in manifest.members:
        net = names["network"]()
        net.load_state_dict({**load_file(folder / "body.safetensors"), **load_file(folder / member.file)})
        with torch.no_grad():
            mean = mean + member.share * net.eval()(x).double().softmax(1)
    p = mean ** (1 / manifest.temperature)
    found = ravine.predict("lite0", "pictures/test", what="ensemble")
    np.testing.assert_allclose(p / p.sum(1, keepdim=True), found.probabilities, atol=1e-5)
    card = (folder / "README.md").read_text()
    assert f"p^(1/T), divided by their sum, at the temperature T = {manifest.temperature:.6g}." in card
    assert "timm's `tf_efficientnet_lite0` has the same tensors" in card


def test_timm_computes_the_same_logits_with_what_was_exported(place: Path) -> None:
    timm = pytest.importorskip("timm")
    body = load_file(place / "model" / "body.safetensors")
    x = torch.from_numpy((pixels_of(place).transpose(0, 3, 1, 2) / 255 - 0.5) / 0.5).float()
    predictor, manifest, _ = load_model(place / "model")
    found = predictor.outputs(x.numpy())
    assert len(manifest.members) == 2
    for member in manifest.members:
        head = load_file(place / "model" / member.file)
        weight = (
            head["head.output.weight"] / head["head.standard.deviation"]
        )  # of features at their own scale
        bias = head["head.output.bias"] - weight @ head["head.standard.mean"]
        net = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=len(NAMES)).eval()
        own = {
            name: f"body.{own_name(name)}" for name in net.state_dict() if not name.startswith("classifier")
        }
        state = {name: body[ours] for name, ours in own.items()}
        net.load_state_dict({**state, "classifier.weight": weight, "classifier.bias": bias})
        with torch.no_grad():
            np.testing.assert_allclose(net(x), found[member.name], atol=1e-4)
