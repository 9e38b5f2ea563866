"""Preprocessing as timm and transformers write it down."""

from __future__ import annotations

import pytest

from ravine.backbones import sheet
from ravine.backbones.sheets import of_timm, of_transformers
from ravine.data.sheet import Sheet
from ravine.errors import ModelError
from ravine.nn.spec import Backbone

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def test_timm():
    found = of_timm(
        {"input_size": (3, 288, 256), "crop_pct": 0.95, "interpolation": "bilinear", **IMAGENET}, "x"
    )
    assert found == Sheet(size=(288, 256), crop=0.95, interpolation="bilinear", **IMAGENET)
    assert found.scaled == (303, 269)  # floor, as timm
    assert of_timm({"crop_mode": "squash"}, "x").resize == "squash"


def test_transformers():
    cropped = {"size": {"shortest_edge": 320}, "crop_size": {"height": 288, "width": 288}, "resample": 3}
    found = of_transformers({**cropped, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}, "x")
    assert (found.size, found.scaled, found.interpolation, found.values) == (
        (288, 288),
        (320, 320),
        "bicubic",
        (-1.0, 1.0),
    )
    squashed = of_transformers(
        {"size": {"height": 224, "width": 192}, "resample": 2, "do_normalize": False}, "x"
    )
    assert (squashed.resize, squashed.size, squashed.values) == ("squash", (224, 192), (0.0, 1.0))
    raw = of_transformers({"size": 32, "do_rescale": False, "do_normalize": False}, "x")
    assert raw.values == (0.0, 255.0)


@pytest.mark.parametrize(
    ("read", "content", "words"),
    [
        (of_timm, {"input_size": "big"}, "input_size = 'big'"),
        (of_timm, {"input_size": [3, 0, 5]}, "input_size = 0"),
        (of_timm, {"crop_pct": 7}, "crop_pct = 7"),
        (of_timm, {"interpolation": "magic"}, "interpolation = 'magic'"),
        (of_timm, {"crop_mode": "border"}, "crop_mode = 'border'"),
        (of_timm, {"std": [0.0, 1.0, 1.0]}, "std = "),
        (of_transformers, {"size": {"longest": 3}}, "size = "),
        (of_transformers, {"size": 10**9}, "size = "),
        (of_transformers, {"resample": 9}, "resample = 9"),
        (of_transformers, {"image_mean": ["a"]}, "image_mean = "),
        (of_transformers, {"rescale_factor": -1}, "rescale_factor = -1"),
    ],
)
def test_what_is_not_understood_is_named(read, content, words):
    with pytest.raises(ModelError) as raised:
        read(content, "there")
    assert str(raised.value).startswith(f"there: {words}")
    assert "model.input" in str(raised.value)


def test_of_a_network_of_ones_own_nothing_is_known_but_what_the_study_says():
    own = Backbone(target="net:Small")
    assert sheet(own) is None
    assert sheet(own.but(input={"mean": [0.5], "std": [0.25]})) == Sheet(mean=(0.5,) * 3, std=(0.25,) * 3)
