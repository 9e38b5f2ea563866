"""Backbones in use: one body for all heads that share it, in memory, in a folder and in a graph."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ravine.backbones.assembled import Assembled, assembled
from ravine.data import from_arrays
from ravine.errors import RavineError
from ravine.forms import Refused
from ravine.nn.spec import Backbone
from ravine.predictors.bodies import backbone_of, own_tensors
from ravine.predictors.modules import module_of
from ravine.predictors.predictor import Part, Predictor

NET = """
from torch import nn

class Small(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU6(), nn.Conv2d(6, 8, 3), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(8, 5),
        )
"""
SPEC = Backbone(target="net:Small")
SHAPE = (3, 8, 8)
RNG = np.random.default_rng(0)
X, Y = RNG.integers(0, 256, (60, 8, 8, 3), dtype=np.uint8), np.arange(60) % 3
X[Y == 1, :, :, 0] //= 3


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    sys.modules.pop("net", None)
    yield tmp_path
    sys.modules.pop("net", None)


def made(seed: int, spec: Backbone = SPEC) -> dict[str, np.ndarray]:
    """Weights of a backbone: the body is the same for all seeds, the head is not."""
    torch.manual_seed(0)
    module = assembled(spec, SHAPE, 3, search=Path.cwd())
    torch.manual_seed(seed)
    for each in module.head.modules():
        if isinstance(each, nn.Linear):
            each.reset_parameters()
    return {name: tensor.detach().numpy().copy() for name, tensor in own_tensors(module).items()}


def test_members_share_a_body_that_is_equal_bit_for_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies: dict[str, nn.Module] = {}
    one, other, third = (
        module_of(SPEC, SHAPE, 3, tensors, search=Path.cwd(), bodies=bodies)
        for tensors in (made(1), made(2), {**made(3), "body.0.bias": np.zeros(6, np.float32)})
    )
    assert isinstance(one, Assembled)
    assert isinstance(other, Assembled)
    assert isinstance(third, Assembled)
    assert one.body is other.body
    assert one.body is not third.body
    assert len(bodies) == 2
    modules = (one, other, third)
    predictor = Predictor(
        preparation=from_arrays(X, Y).known_preparation,
        members=tuple(Part(name=str(i), share=1 / 3, model=each) for i, each in enumerate(modules)),
    )
    x = torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(0))
    passes: list[int] = []
    monkeypatch.setattr(one.body[0], "forward", _counted(one.body[0], passes))  # type: ignore[index]
    found = predictor.outputs(x.numpy())
    assert passes == [5], "a batch goes through a body once"
    for i, each in enumerate(modules):
        assert torch.equal(torch.from_numpy(found[str(i)]), each(x))


def _counted(layer: nn.Module, passes: list[int]) -> Any:
    before = layer.forward

    def forward(x: torch.Tensor) -> torch.Tensor:
        passes.append(len(x))
        return before(x)  # type: ignore[no-any-return]

    return forward


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"head": {"hidden": [1_000_000] * 900}},
            "head.linear1.weight is missing; 1000000 outputs are needed",
        ),
        ({"cut": "7"}, "tensor 'body.8.weight'"),
    ],
)
def test_weights_of_another_network_are_refused(change: dict[str, Any], line: str) -> None:
    tensors = {**made(1), "body.8.weight": np.zeros(1, np.float32)}
    with pytest.raises(RavineError, match=line):
        module_of(SPEC.but(**change), SHAPE, 3, tensors, search=Path.cwd())


def test_a_picture_beyond_all_memory_is_refused() -> None:
    with pytest.raises(RavineError, match="a side has at most 4,096 pixels"):
        module_of(SPEC, (3, 8, 1_000_000), 3, made(1), search=Path.cwd())


def test_what_a_recipe_says_becomes_a_network_without_reading_its_weights() -> None:
    lite0 = {
        "architecture": "builtin:efficientnet-lite0",
        "weights": "ab",
        "head": {"hidden": [4]},
        "cut": None,
    }
    found = backbone_of({"kind": "backbone", **lite0, "norm": "frozen", "input": None})
    assert found == Backbone(target="builtin:efficientnet-lite0", head={"hidden": [4]})
    own = {"source": "net:Small@01", "args": {}}
    for other in (
        "builtin:other",
        "timm:../x",
        "net:Small",
        "",
        3,
        None,
        own,
        {"transformers": "x", "config": "01"},
    ):
        assert backbone_of({**lite0, "architecture": other}) is None
    assert backbone_of({**lite0, "architecture": own}, "net:Small") == SPEC.but(head={"hidden": [4]})
    timm = backbone_of({**lite0, "architecture": {"timm": "resnet18", "args": {"in_chans": 3}}})
    assert timm == Backbone(target="timm:resnet18", args={"in_chans": 3}, head={"hidden": [4]})
    for key, value in (("head", {"hidden": [0]}), ("head", 3), ("norm", "thawed"), ("cut", 3)):
        with pytest.raises(Refused):
            backbone_of({**lite0, key: value})


@pytest.mark.slow
def test_a_graph_has_a_body_once() -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from ravine.predictors.graph.write import graph_of

    bodies: dict[str, nn.Module] = {}
    modules = [module_of(SPEC, SHAPE, 3, made(i), search=Path.cwd(), bodies=bodies) for i in (1, 2)]
    predictor = Predictor(
        preparation=from_arrays(X, Y).known_preparation,
        members=tuple(Part(name=str(i), share=0.5, model=each) for i, each in enumerate(modules)),
    )
    content, checked = graph_of(predictor, members=True)
    assert checked.worst < 1e-5
    import onnx

    graph = onnx.load_from_string(content).graph
    assert sum(node.op_type == "Conv" for node in graph.node) == 2
    assert sum(node.op_type == "Gemm" for node in graph.node) == 2


@pytest.mark.slow
def test_the_graph_of_lite0_is_right_at_any_size() -> None:
    """Padding that depends on the size, ReLU6, and norms."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from ravine.predictors.graph.write import graph_of

    spec, shape = Backbone(target="builtin:efficientnet-lite0"), (3, 45, 62)
    torch.manual_seed(0)
    module = assembled(spec, shape, 3).eval().requires_grad_(False)
    for each in module.modules():
        if isinstance(each, nn.BatchNorm2d) or type(each).__name__ == "BatchNorm":
            each.running_mean.normal_(0, 0.1)
            each.running_var.uniform_(0.5, 1.5)
    x = RNG.integers(0, 256, (9, 45, 62, 3), dtype=np.uint8)
    predictor = Predictor(
        preparation=from_arrays(x, np.arange(9) % 3).known_preparation,
        members=(Part(name="one", share=1.0, model=module),),
    )
    assert graph_of(predictor)[1].worst < 1e-4
