"""EfficientNet-Lite0 with a head, written out as plain PyTorch, is the network that was exported."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch
from torch import nn

from ravine.backbones.assembled import assembled
from ravine.nn.spec import Backbone
from ravine.predictors.bodies import own_tensors
from ravine.predictors.source_lite0 import lite0_source


@pytest.mark.slow
@pytest.mark.parametrize("head", [{}, {"hidden": [6], "dropout": 0.2}], ids=["linear", "hidden"])
def test_it_computes_the_same(head: dict[str, object], tmp_path: Path) -> None:
    torch.manual_seed(0)
    spec = Backbone.of({"kind": "backbone", "target": "builtin:efficientnet-lite0", "head": head})
    module = assembled(spec, (3, 32, 32), 5).eval()
    module.head.standard.mean[:] = torch.randn(1280)
    module.head.standard.deviation[:] = torch.rand(1280) + 0.5
    text = lite0_source(module, ["body.safetensors", "head.safetensors"], "logits")
    assert text is not None
    assert 'load_state_dict({**load_file("body.safetensors"), **load_file("head.safetensors")})' in text
    assert "ravine" not in text
    (tmp_path / "model.py").write_text(text)
    net = runpy.run_path(str(tmp_path / "model.py"))["network"]()
    net.load_state_dict(own_tensors(module))
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(net.eval()(x), module(x))


def test_another_network_is_not_written_out() -> None:
    assert lite0_source(nn.Linear(2, 3), ["a.safetensors"], "logits") is None
