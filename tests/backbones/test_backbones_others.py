"""Networks of timm and transformers, built offline: slow, and skipped where they are not installed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small import saved

from ravine import rng
from ravine.backbones import sheet, structure
from ravine.backbones.assembled import assembled, facts_of
from ravine.backbones.blocks import blocks
from ravine.backbones.hub import fetched, hub_file
from ravine.backbones.known import BUILTIN
from ravine.backbones.lite0 import EfficientNetLite0
from ravine.backbones.lite0_names import own_name
from ravine.backbones.loading import read_builtin
from ravine.data.reading import SheetReading
from ravine.errors import ModelError
from ravine.nn.spec import Backbone

LITE0 = "efficientnet-lite0"
# ImageNet's classes that EfficientNet-Lite0 finds in scikit-learn's photos, the most probable first, as timm has them.
TOP = {
    "china.jpg": [698, 442, 663, 975, 449],  # palace, bell cote, monastery, lakeside, boathouse
    "flower.jpg": [985, 309, 947, 108, 310],  # daisy, bee, mushroom, sea anemone, ant
}


def built(spec, shape, folder, num_outputs=4):
    with rng.keyed_init(0):
        return assembled(spec, shape, num_outputs, search=folder)


@pytest.fixture(scope="module")
def weights():
    try:
        return read_builtin(LITE0).tensors
    except ModelError:
        pytest.skip("its weights (extra pretrained) are not installed")


@pytest.mark.slow
def test_what_lite0_sees_in_two_photos(weights):
    pytest.importorskip("PIL")
    from PIL import Image
    from sklearn.datasets import load_sample_images

    net = EfficientNetLite0().eval()
    net.load_state_dict(weights)
    of_weights = sheet(Backbone(weights=f"builtin:{LITE0}"))
    assert of_weights is not None
    reading = SheetReading(sheet=of_weights)
    photos = load_sample_images()
    for name, pixels in zip(photos.filenames, photos.images, strict=True):
        v_CHW = reading.bytes_of(Image.fromarray(pixels))
        # Written out with Pillow: the shorter side to 256, the middle 224 x 224.
        height, width = pixels.shape[:2]
        scaled = Image.fromarray(pixels).resize((256 * width // height, 256), Image.Resampling.BICUBIC)
        left = round((scaled.width - 224) / 2)
        expected = np.asarray(scaled.crop((left, 16, left + 224, 240))).transpose(2, 0, 1)
        assert np.array_equal(v_CHW, expected)
        x = (torch.from_numpy(np.array(v_CHW)).float() / 255 - 0.5) / 0.5
        with torch.no_grad():
            found = net(x[None])[0].topk(5).indices.tolist()
        assert found == TOP[Path(name).name]


@pytest.mark.slow
def test_lite0_computes_what_timms_does(weights, tmp_path):
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    state = theirs.state_dict()
    assert {own_name(key) for key in state} == set(weights)
    theirs.load_state_dict({key: weights[own_name(key)] for key in state})
    net = EfficientNetLite0().eval()
    net.load_state_dict(weights)
    for sides in ((224, 224), (96, 96), (33, 50), (65, 130)):
        x = torch.rand(2, 3, *sides) * 2 - 1
        with torch.no_grad():
            assert (net(x) - theirs(x)).abs().max() < 1e-4
    # A file with timm's names has the same weights.
    saved(tmp_path, dict(theirs.state_dict()), "theirs.safetensors")
    model = built(Backbone(weights="file:theirs.safetensors"), (3, 64, 64), tmp_path)
    assert torch.equal(model.body.stem.conv.weight, weights["stem.conv.weight"])
    config = timm.get_pretrained_cfg("tf_efficientnet_lite0")
    known = BUILTIN[LITE0].sheet
    assert (known.crop, known.interpolation, known.mean, known.std) == (
        config.crop_pct, config.interpolation, config.mean, config.std,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "args", "num_blocks", "cut"),
    [
        ("resnet18", {}, 9, "fc"),
        ("convnext_atto", {}, 17, "head.fc"),
        ("vit_tiny_patch16_224", {"img_size": 64}, 14, "head"),
        ("mobilenetv3_small_050", {}, 14, "classifier"),
    ],
)
def test_networks_of_timm(tmp_path, name, args, num_blocks, cut):
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    theirs = timm.create_model(name, pretrained=False, **args).eval()
    saved(tmp_path, theirs.state_dict(), "w.safetensors")
    spec = Backbone(weights="file:w.safetensors", target=f"timm:{name}", args=args)
    model = built(spec, (3, 64, 64), tmp_path).eval()
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(
            model.features(x), theirs.forward_head(theirs.forward_features(x), pre_logits=True), atol=1e-5
        )
    assert facts_of(spec, (3, 64, 64), tmp_path).cut.name == cut
    assert len(blocks(model)) == num_blocks
    assert sheet(spec).size == (224, 224)
    with pytest.raises(ModelError, match=r"^model\.args\.pretrained: cannot be given"):
        built(spec.but(args={**args, "pretrained": True}), (3, 64, 64), tmp_path)
    with pytest.raises(ModelError, match=r'^model: timm has no "resnt18"; did you mean '):
        sheet(spec.but(target="timm:resnt18", args={}))


@pytest.mark.slow
def test_a_folder_that_timm_saved(tmp_path):
    timm = pytest.importorskip("timm")
    pytest.importorskip("huggingface_hub")
    theirs = timm.create_model("resnet18", pretrained=False, num_classes=5)
    timm.models.save_for_hf(theirs, tmp_path / "saved", safe_serialization=True)
    spec = Backbone(weights="hf:./saved")
    model = built(spec, (3, 64, 64), tmp_path)
    assert torch.equal(model.body.conv1.weight, theirs.conv1.weight)
    assert structure(spec, tmp_path)["architecture"]["timm"] == "resnet18"
    assert sheet(spec, tmp_path).scaled == (235, 235)
    file = tmp_path / "saved" / "config.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "model_args": {"checkpoint_path": "evil.pth"}}))
    with pytest.raises(ModelError, match=r"^model\.args\.checkpoint_path: cannot be given"):
        built(spec, (3, 32, 32), tmp_path)


@pytest.fixture(scope="module")
def transformed(tmp_path_factory):
    """Folders that transformers saved: a residual network, a transformer, and one without its classifier."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("hub")
    torch.manual_seed(0)
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], layer_type="basic", num_labels=7
    )
    net = transformers.ResNetForImageClassification(config).eval()
    net.save_pretrained(folder / "resnet")
    (folder / "resnet" / "preprocessor_config.json").write_text(
        json.dumps({"crop_pct": 0.875, "resample": 3, "size": {"shortest_edge": 32}})
    )
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8
    )  # fmt: skip
    vit = transformers.ViTForImageClassification(config).eval()
    vit.save_pretrained(folder / "vit")
    transformers.ViTModel(config).save_pretrained(folder / "vit_base")
    return folder, net, vit


@pytest.mark.slow
def test_folders_of_transformers(transformed):
    folder, net, vit = transformed
    x = torch.rand(2, 3, 32, 32)
    model = built(Backbone(weights="hf:./resnet"), (3, 32, 32), folder).eval()
    with torch.no_grad():
        assert torch.allclose(net.classifier[1](model.features(x)), net(x).logits, atol=1e-6)
        found = sheet(Backbone(weights="hf:./resnet"), folder)
        assert (found.size, found.crop, found.interpolation) == ((32, 32), 0.875, "bicubic")
        assert len(blocks(model)) == 4
        model = built(Backbone(weights="hf:./vit"), (3, 32, 32), folder).eval()
        assert torch.allclose(vit.classifier(model.features(x)), vit(x).logits, atol=1e-6)
        assert len(blocks(model)) == 5
    assert built(Backbone(weights="hf:./vit_base"), (3, 32, 32), folder).features(x).shape == (2, 16)


@pytest.mark.slow
def test_folders_that_lack_something(transformed, tmp_path):
    folder, _, _ = transformed
    with pytest.raises(
        ModelError, match=r"'hf:\./rsnet': there is no such folder: .*did you mean 'resnet'\?$"
    ):
        hub_file("./rsnet", "config.json", folder)
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(
        ModelError, match=r"pytorch_model\.bin may contain code: save it with safe_serialization"
    ):
        hub_file("./", "model.safetensors", tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert", "auto_map": {"AutoConfig": "evil.Config"}}')
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'touched')!r}, 'w')")
    with pytest.raises(ModelError, match="is no image classifier that transformers builds"):
        built(Backbone(target="hf:./"), (3, 32, 32), tmp_path)
    assert not (tmp_path / "touched").exists()
    (tmp_path / "config.json").write_text("[" * 50_000)
    with pytest.raises(ModelError, match="is no JSON"):
        structure(Backbone(target="hf:./"), tmp_path)


@pytest.mark.slow
def test_a_hub_that_cannot_be_reached_says_how_to_do_without_it(monkeypatch, tmp_path):
    constants = pytest.importorskip("huggingface_hub").constants
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for proxy in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    monkeypatch.setattr(constants, "ENDPOINT", "https://localhost:9")  # a port on which nobody listens
    words = r"config\.json is not in the hub's cache, and localhost cannot be reached .*`hf download a/b --revision v1 "
    with pytest.raises(ModelError, match=words):
        fetched("a/b", "v1", "config.json", "here")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("ravine.backbones.hub._unreachable", lambda _: pytest.fail("the network was asked"))
    with pytest.raises(ModelError, match="and HF_HUB_OFFLINE is set; where there is a connection, run"):
        fetched("a/b", "v2", "config.json", "here")


def test_what_is_not_installed_is_named(monkeypatch):
    for module in ("timm", "transformers", "huggingface_hub"):
        monkeypatch.setitem(sys.modules, module, None)
    for spec, extra in (("timm:resnet34", "timm"), ("hf:a/b@other", "hub")):
        with pytest.raises(ModelError, match=rf'pip install "ravine\[{extra}\]"'):
            structure(Backbone(weights=spec))
