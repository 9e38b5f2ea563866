"""One graph from raw columns to probabilities says what the predictor says, at every batch size, by itself."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from graphs import feeds, mixed, predictor_of, raw_columns, rows
from ravine.data import from_arrays
from ravine.errors import InputError, ModelError
from ravine.nn.spec import MLP
from ravine.predictors.graph import door

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

from ravine.predictors.graph import networks  # noqa: E402

MODEL = MLP(hidden=(8,), norm="batch", dropout=0.3)


def with_statistics(module, seed):
    """BatchNorm statistics that differ from those at the start, so that they must arrive in the graph."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean.normal_(generator=torch.Generator().manual_seed(seed))
            layer.running_var.uniform_(0.5, 2.0, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """A predictor of a mixed table, the same without modules, and its graph."""
    folder = tmp_path_factory.mktemp("graph")
    made = predictor_of(mixed(folder), MODEL, shares=(0.5, 0.3, 0.2), train=with_statistics, temperature=0.8)
    path = folder / "model.onnx"
    checked = door.write_graph(made, path, facts={"runs": ["a", "b"], "recipe": {"lr": 0.1}}, members=True)
    return made, path, checked


@pytest.mark.parametrize("size", [0, 1, 3, 128])
def test_the_graph_says_what_the_predictor_says(pool, size):
    made, path, _ = pool
    raw = raw_columns(list(rows(size, seed=2)), made.preparation.inputs)
    session = onnxruntime.InferenceSession(path)
    p, label, members = session.run(
        ["probabilities", "label", "members"], feeds(raw, made.preparation.inputs)
    )
    assert p.shape == (size, 3)
    assert members.shape == (3, size, 3)
    if size:
        said = made.predict(raw)
        assert np.abs(p - said.p).max() < 1e-6
        assert tuple(label) == said.names
        assert np.abs(p.sum(axis=1) - 1).max() < 1e-6


def test_the_file_checks_itself(pool):
    _, path, written = pool
    checked = door.check_graph(path)
    assert checked.agrees
    assert checked.worst <= 1e-6
    assert checked.num_examples == written.num_examples
    assert checked.facts["runs"] == ["a", "b"]
    assert checked.facts["classes"] == ["no", "so so", "yes"]


def test_a_wrong_weight_is_found(pool, tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(pool[1])
    weights = max(model.graph.initializer, key=lambda each: len(each.raw_data))
    weights.raw_data = bytes(len(weights.raw_data))
    onnx.save(model, tmp_path / "wrong.onnx")
    assert not door.check_graph(tmp_path / "wrong.onnx").agrees


def test_test_vectors_that_do_not_fit_are_refused(pool, tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(pool[1])
    (vectors,) = (each for each in model.metadata_props if each.key == "test_vectors")
    for old, new in (
        ('"when"', '"whence"'),
        ('"type": "float32"', '"type": "float99"'),
        ('"scale"', '"size"'),
    ):
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        changed.metadata_props[list(model.metadata_props).index(vectors)].value = vectors.value.replace(
            old, new
        )
        onnx.save(changed, tmp_path / "changed.onnx")
        with pytest.raises(InputError, match=r"changed\.onnx: (its|has no) test vectors"):
            door.check_graph(tmp_path / "changed.onnx")


def test_members_are_evaluated_without_their_modules(pool):
    made, path, _ = pool
    sessions = door.members_of(path)
    again = replace(made, members=tuple(replace(each, model=sessions[each.name]) for each in made.members))
    raw = raw_columns(list(rows(20, seed=3)), made.preparation.inputs)
    assert np.abs(again.predict(raw).p - made.predict(raw).p).max() < 1e-6
    with pytest.raises(ModelError, match="member run0: its ONNX graph fails"):
        sessions["run0"].run(np.zeros((2, 3), np.float32))
    with pytest.raises(ModelError, match="is an ONNX graph already"):
        door.write_graph(again, "never.onnx")


def test_one_trace_serves_members_that_differ_in_weights_only(pool):
    onnx = pytest.importorskip("onnx")
    modules = [each.model for each in pool[0].members]
    assert networks.alike(modules[0], modules[1])
    graph = onnx.load(pool[1]).graph
    sizes = [each.dims for each in graph.initializer if list(each.dims) == [8, modules[0][0].in_features]]
    assert len(sizes) == 3
    texts = str(graph)
    assert "stack_trace" not in texts  # no path of this machine
    assert ".py" not in texts


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (nn.Linear(2, 2), nn.Linear(2, 3)),
        (nn.LeakyReLU(0.1), nn.LeakyReLU(0.2)),
        (nn.Sequential(nn.ReLU()), nn.Sequential(nn.ReLU(), nn.ReLU())),
        (nn.BatchNorm1d(2, eps=1e-5), nn.BatchNorm1d(2, eps=1e-3)),
    ],
)
def test_modules_that_differ_in_more_are_traced_each(one, other):
    assert not networks.alike(one, other)
    assert networks.alike(one, one)


def test_modules_that_differ_in_what_they_tie():
    free, tied = (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)) for _ in range(2))
    tied[1].weight = tied[0].weight
    assert not networks.alike(free, tied)


class Random(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        return nn.functional.dropout(self.last(x), 0.5)  # which is live unless it is switched off


def of_the_batch():
    return nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), Centred())


class Centred(nn.Module):
    def forward(self, x):
        return x - x.mean(0)


def without_statistics():
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False))


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Random, "Random gives other outputs each time, in evaluation mode too"),
        (of_the_batch, "its output for an example depends on the other examples of the batch"),
        (
            without_statistics,
            "Sequential fails with 1 example: ValueError: Expected more than 1 value per channel",
        ),
    ],
)
def test_networks_without_one_answer_for_an_example(model, says, tmp_path):
    x = np.random.default_rng(0).normal(size=(30, 4))
    made = predictor_of(from_arrays(x, np.arange(30) % 3), model, 2)
    with pytest.raises(ModelError) as refused:
        door.write_graph(made, tmp_path / "m.onnx")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_no_graph_of_ravine_is_refused(tmp_path):
    for name, content in (("empty.onnx", b""), ("text.onnx", b"not a graph")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name):
            door.check_graph(tmp_path / name)
        with pytest.raises(InputError, match=name):
            door.members_of(tmp_path / name)
    with pytest.raises(InputError, match=r"none\.onnx"):
        door.check_graph(tmp_path / "none.onnx")
    with pytest.raises(InputError, match=r"none\.onnx: cannot be read"):
        door.members_of(tmp_path / "none.onnx")


def test_a_folder_that_is_not_there(pool, tmp_path, monkeypatch):
    from ravine.predictors.graph import write

    content, checked = b"", pool[2]
    monkeypatch.setattr(write, "graph_of", lambda *_, **__: (content, checked))
    with pytest.raises(InputError, match=r"model\.onnx: cannot be written: No such file"):
        door.write_graph(pool[0], tmp_path / "no" / "model.onnx")


def test_without_the_extra_one_line_says_so(pool, monkeypatch):
    monkeypatch.setattr(door, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(InputError) as refused:
        door.write_graph(pool[0], "never.onnx")
    assert str(refused.value) == 'an ONNX graph needs onnxscript: pip install "ravine[onnx]"'


def test_an_extra_that_is_broken_is_one_line_too(tmp_path, monkeypatch):
    (tmp_path / "broken_onnx.py").write_text("import none_such")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        InputError, match="a graph needs broken_onnx, which cannot be imported: ModuleNotFoundError"
    ):
        door.require_onnx("a graph", ("broken_onnx",))


@pytest.mark.slow
def test_onnx_is_imported_only_when_asked_for():
    code = (
        "import sys, ravine.predictors.graph.door; print('onnx' in sys.modules, 'onnxruntime' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False False\n"
    )


def test_metadata_are_plain_json(pool):
    metadata = onnxruntime.InferenceSession(pool[1]).get_modelmeta().custom_metadata_map
    about, vectors = (json.loads(metadata[key]) for key in ("ravine", "test_vectors"))
    assert [each["name"] for each in about["inputs"]] == ["when", "day", "colour", "member", "code", "weight"]
    assert about["inputs"][0] == {"name": "when", "shape": [1], "type": "float64", "missing": "NaN"}
    assert about["inputs"][1]["missing"] == ""
    assert about["inputs"][1]["like"] == ["2024-05-01", "2024-05-02", "2024-05-03"]
    assert about["pool"] == pool[0].pool.id
    assert about["outputs"] == ["probabilities", "label", "members", "unseen"]
    assert vectors["inputs"]["when"]["shape"][1] == 1
    assert None in vectors["inputs"]["when"]["values"]
