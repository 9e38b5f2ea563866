"""Every built-in model, and modules as users write them, become graphs; or one line says why not."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from graphs import predictor_of
from ravine.data import from_arrays, load, parse_data
from ravine.data.answers import NumberTarget
from ravine.errors import ModelError
from ravine.nn.spec import MLP, ConvNet, ResNet
from ravine.predictors.graph import door

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

from ravine.predictors.graph import networks  # noqa: E402

pytestmark = pytest.mark.slow  # torch's exporter takes seconds

GREY = np.random.default_rng(0).integers(0, 256, (128, 8, 8), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (128, 8, 8, 3), dtype=np.uint8)
FLOATS = np.random.default_rng(2).normal(3, 5, (128, 6))
RAW = {"grey": GREY, "colour": COLOUR, "floats": FLOATS}
LABELS = np.arange(128) % 3


def as_trained(module, seed):
    """Statistics and weights as training leaves them."""
    draw = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean.normal_(generator=draw)
            layer.running_var.uniform_(0.5, 2.0, generator=draw)
    with torch.no_grad():
        for weight in module.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=draw)


def same(made, raw, path, **options):
    """The graph of a predictor says the same, at every batch size; returned is its session."""
    door.write_graph(made, path, **options)
    session = onnxruntime.InferenceSession(path)
    for size in (1, 3, 128):
        said = made.predict(raw[:size])
        found = session.run(None, {"x": raw[:size]})
        if said.log_p is None:
            assert found[0].shape == (size, 1)
            np.testing.assert_allclose(found[0][:, 0], said.predicted, rtol=1e-5)
        else:
            assert np.abs(found[0] - said.p).max() <= 1e-5
            assert tuple(found[1]) == said.names
    return session


@pytest.mark.parametrize("normalize", [None, "none"])
@pytest.mark.parametrize(
    ("raw", "model"),
    [
        ("floats", MLP(hidden=())),
        ("floats", MLP(hidden=(16, 8), norm="batch", activation="gelu", dropout=0.5)),
        ("floats", MLP(hidden=(16,), norm="layer", activation="silu")),
        ("grey", MLP(hidden=(16,), activation="tanh")),
        ("grey", ConvNet(channels=(4, 8))),
        ("colour", ConvNet(channels=(4, 8, 8, 8), norm="none", hidden=16, dropout=0.2)),
        ("colour", ConvNet(channels=(4,), norm="group")),
        ("colour", ResNet(depth=8, width=4)),
        ("grey", ResNet(depth=8, width=4, norm="group", dropout=0.1)),
    ],
    ids=str,
)
def test_built_in_models(raw, model, normalize, tmp_path):
    x = RAW[raw]
    data = from_arrays(x, LABELS, normalize=normalize)
    same(predictor_of(data, model, 3, train=as_trained), x, tmp_path / "m.onnx")


def test_a_regression_is_in_the_targets_own_units(tmp_path):
    data = from_arrays(FLOATS, FLOATS @ np.arange(6.0) * 1e4 + 5e5)
    assert isinstance(data.preparation.target, NumberTarget)
    made = predictor_of(data, MLP(hidden=(16,), norm="batch"), 3, shares=(0.2, 0.3, 0.5), train=as_trained)
    session = same(made, FLOATS, tmp_path / "m.onnx", members=True)
    members = session.run(["members"], {"x": FLOATS})[0]
    np.testing.assert_allclose(members, np.stack(list(made.predict(FLOATS).outputs.values())), rtol=1e-5)


def test_pictures_are_bytes_as_pillow_gives_them(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for at, pixels in enumerate(COLOUR[:10]):
            image.fromarray(pixels if label == "cat" else 255 - pixels).save(tmp_path / label / f"{at}.png")
    data = load(parse_data({"kind": "images", "path": str(tmp_path)}))
    made = predictor_of(data, ConvNet(channels=(4,)), 2, train=as_trained)
    door.write_graph(made, tmp_path / "m.onnx")
    files = sorted(tmp_path.rglob("*.png"))
    pixels = np.stack([np.asarray(image.open(file).convert("RGB")) for file in files])
    p, names = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(None, {"x": pixels})
    said = made.predict(files)
    assert np.abs(p - said.p).max() <= 1e-5
    assert tuple(names) == said.names


class Tied(nn.Module):
    """One matrix in two places, one layer in two more, a buffer and a plain tensor."""

    def __init__(self):
        super().__init__()
        self.inward, self.onward = nn.Linear(64, 64), nn.Linear(64, 64)
        self.onward.weight = self.inward.weight
        self.last = self.again = nn.Linear(64, 3)
        self.register_buffer("scale", torch.rand(64))
        self.shift = torch.full((64,), 2.0)

    def forward(self, x):
        x = x.flatten(1)
        return self.last(self.onward(torch.relu(self.inward(x) * self.scale + self.shift))) + self.again(x)


class Attention(nn.Module):
    """A small vision transformer, which asks for len(x)."""

    def __init__(self, width=16):
        super().__init__()
        self.patches = nn.Conv2d(1, width, 4, 4)
        self.first = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, 5, width) * 0.1)
        layer = nn.TransformerEncoderLayer(width, 4, 32, batch_first=True, activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.last = nn.Linear(width, 3)

    def forward(self, x):
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.first.expand(len(x), -1, -1), tokens], 1) + self.places
        return self.last(self.encoder(tokens)[:, 0])


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lines, self.last = nn.GRU(8, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, x):
        return self.last(self.lines(x[:, 0])[0][:, -1])


class Drawn(nn.Module):
    """Members differ in a number that is no tensor."""

    def __init__(self):
        super().__init__()
        self.last, self.slope = nn.Linear(64, 3), float(torch.rand(()))

    def forward(self, x):
        return nn.functional.dropout(
            nn.functional.leaky_relu(self.last(x.flatten(1)), self.slope), 0.5, self.training
        )


def norms():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 3)
    )


@pytest.mark.parametrize("model", [Tied, Attention, Recurrent, Drawn, norms])
def test_modules_of_users(model, tmp_path):
    made = predictor_of(from_arrays(GREY, LABELS), model, 2, train=as_trained)
    same(made, GREY, tmp_path / "m.onnx")
    sessions = door.members_of(tmp_path / "m.onnx")
    again = replace(made, members=tuple(replace(each, model=sessions[each.name]) for each in made.members))
    assert np.abs(again.predict(GREY).p - made.predict(GREY).p).max() <= 1e-5


def test_a_tied_matrix_is_stored_once(tmp_path):
    onnx = pytest.importorskip("onnx")
    door.write_graph(predictor_of(from_arrays(GREY, LABELS), Tied, 1), tmp_path / "m.onnx")
    graph = onnx.load(tmp_path / "m.onnx").graph
    assert [list(each.dims) for each in graph.initializer].count([64, 64]) == 1


def test_the_same_predictor_is_the_same_file(tmp_path):
    made = predictor_of(from_arrays(GREY, LABELS), norms, 2, train=as_trained)
    for name in ("one.onnx", "other.onnx"):
        door.write_graph(made, tmp_path / name, facts={"run": "a"})
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "other.onnx").read_bytes()


class Hidden(nn.Module):
    def __init__(self):
        super().__init__()
        self.last, self.slope = nn.Linear(64, 3), float(torch.rand(()))

    def forward(self, x):
        return self.last(x.flatten(1)) * self.slope


def test_members_that_only_look_alike_are_found_out(tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "alike", lambda *_: True)
    same(predictor_of(from_arrays(GREY, LABELS), Hidden, 3), GREY, tmp_path / "m.onnx")


class Looping(Recurrent):
    def forward(self, x):
        return torch.stack([self.last(picture[0, 0]) for picture in x])


class Branching(Recurrent):
    def forward(self, x):
        return self.last(x[:, 0, 0]) * (1 if self.last.weight.sum() > 0 else -1)


class Random(Recurrent):
    def forward(self, x):
        return self.last(x[:, 0, 0]) + torch.randn(3)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (
            Looping,
            "its code works for a fixed number of examples only; take x.shape[0] for it, and no loop over x",
        ),
        (Branching, "its code decides by the values of a tensor"),
        (Random, "gives other outputs each time, in evaluation mode too: it cannot become a graph"),
    ],
)
def test_what_cannot_become_a_graph_is_refused_in_one_line(model, says, tmp_path):
    made = predictor_of(from_arrays(GREY, LABELS), model, 2)
    with pytest.raises(ModelError) as refused:
        door.write_graph(made, tmp_path / "m.onnx")
    assert says in str(refused.value)
    assert model.__name__ in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_torchs_exporter_says_nothing(tmp_path):
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import numpy as np
from graphs import predictor_of
from ravine.data import from_arrays
from ravine.nn.spec import MLP
from ravine.predictors.graph.door import write_graph
x = np.arange(80.0).reshape(40, 2)
write_graph(predictor_of(from_arrays(x, np.arange(40) % 2), MLP(hidden=(4,)), 2), "m.onnx")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [each.name for each in tmp_path.iterdir()] == ["m.onnx"]


def test_a_network_in_float64_stays_so_or_is_refused(tmp_path):
    def double(module, seed):
        as_trained(module, seed)
        module.double()

    data = from_arrays(FLOATS, LABELS)
    made = predictor_of(data, MLP(hidden=(8,), norm="batch", activation="tanh"), train=double)
    same(made, FLOATS, tmp_path / "double.onnx")
    made = predictor_of(data, MLP(hidden=(8,), activation="gelu"), train=double)
    with pytest.raises(ModelError) as error:
        door.write_graph(made, tmp_path / "gelu.onnx")
    assert str(error.value) == (
        "model: Sequential is in float64, in which onnxruntime has no Erf: export it without a graph, or train it in "
        "float32"
    )
