"""Exported models: what the store predicts, another process predicts too; what a folder says is checked."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import ravine
from ravine.cli import main
from ravine.data import load
from ravine.errors import InputError, RavineError
from ravine.nn.spec import MLP, ConvNet, ResNet
from ravine.predictors.loading import load_model
from ravine.predictors.manifest import digest_of
from ravine.store import Store


class Tied(nn.Module):
    """Two layers that share their weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4, bias=False)
        self.second.weight = self.first.weight
        self.drop, self.out = nn.Dropout(0.2), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.drop(torch.relu(self.second(torch.relu(self.first(x))))))


class Other(Tied):
    """Weights of the same names and shapes, and another function."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.tanh(self.first(x)))


def rows(number: int, seed: int) -> list[list[str]]:
    draw = np.random.default_rng(seed)
    found = []
    for i in range(number):
        size, town = draw.uniform(20, 90), str(draw.choice(["north", "south"]))
        score = size + 20 * (town == "north")
        label = "large" if score > 70 else "small" if score > 50 else "tiny"
        found.append([f"{size:.2f}" if i % 9 else "", town, label])
    return found


def write(path: Path, header: list[str], content: list[list[str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *content])
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of two studies, new data, and the exported ensemble of the first."""
    folder = tmp_path_factory.mktemp("export")
    train = write(folder / "train.csv", ["size", "town", "label"], rows(120, 0))
    data = {"kind": "csv", "path": str(train), "target": "label", "missing": "impute"}
    study = ravine.Study(
        name="sizes",
        data=data,
        model={"kind": "mlp", "hidden": [8], "norm": "batch", "dropout": 0.1},
        epochs=60,
        seeds=2,
        rules=[{"kind": "adam", "lr": 0.03}],
        averages={"ema": [0.9]},
    )
    ravine.run(study, store=folder / "runs", quiet=True, device="cpu")
    own = ravine.Study(name="tied", data="iris", model=Tied, epochs=3, seeds=1, rules=["adam"])
    ravine.run(own, store=folder / "runs", quiet=True, device="cpu")
    train.unlink()
    write(folder / "new.csv", ["town", "size", "label", "id"], [[r[1], r[0], r[2], "7"] for r in rows(40, 1)])
    ravine.export("sizes", out=folder / "model", what="ensemble", store=folder / "runs")
    return folder


@pytest.mark.parametrize("what", ["winner", "ensemble", "greedy", "average"])
def test_the_folder_predicts_what_the_store_predicts_bit_for_bit(
    place: Path, tmp_path: Path, what: str
) -> None:
    ravine.export("sizes", out=tmp_path / "model", what=what, store=place / "runs")
    stored = ravine.predict("sizes", place / "new.csv", what=what, store=place / "runs")
    taken = ravine.predict(tmp_path / "model", place / "new.csv")
    assert stored.probabilities is not None
    assert taken.probabilities is not None
    assert stored.probabilities.tobytes() == taken.probabilities.tobytes()
    assert stored.disagreement.tobytes() == taken.disagreement.tobytes()
    assert list(stored.predicted) == list(taken.predicted)
    assert stored.scores == taken.scores
    assert stored.scores["accuracy"] > 0.6
    assert np.isfinite(stored.scores["nll"])


def test_members_keep_their_own_weights_whatever_the_order(place: Path, tmp_path: Path) -> None:
    """Trap 13: shares of .95 and .05 belong to runs, not to places."""
    shutil.copytree(place / "model", tmp_path / "model")
    path = tmp_path / "model" / "ravine.json"
    content = json.loads(path.read_text())
    before = load_model(tmp_path / "model")[0]
    assert sum(each.share for each in before.members) == pytest.approx(1.0)
    names = [each["run"] for each in content["members"]]
    from ravine.ensembles.cells import Cells
    from ravine.ensembles.pool import Pool

    shares = dict(zip(names, (0.95, 0.05), strict=True))
    x = np.random.default_rng(0).normal(size=(20, before.preparation.inputs.shape[0])).astype(np.float32)
    outputs = before.outputs(x)
    cells = Cells.of_target(before.preparation.target)
    wanted = Pool(weights=shares, combine="mean").predict(cells, outputs).log_p
    turned = Pool(weights=dict(reversed(shares.items())), combine="mean").predict(cells, outputs).log_p
    assert wanted is not None
    assert turned is not None
    np.testing.assert_allclose(wanted, turned, atol=1e-14)
    each = [np.exp(torch.log_softmax(torch.from_numpy(outputs[name]).double(), 1).numpy()) for name in names]
    np.testing.assert_allclose(np.exp(wanted), 0.95 * each[0] + 0.05 * each[1], atol=1e-12)


def test_classes_are_aligned_by_name_and_a_class_that_is_absent_costs_nothing(
    place: Path, tmp_path: Path
) -> None:
    """Traps 14 and 15."""
    few = [row for row in rows(60, 3) if row[2] != "tiny"][::-1]
    found = ravine.predict(place / "model", write(tmp_path / "few.csv", ["size", "town", "label"], few))
    assert found.probabilities is not None
    assert found.probabilities.shape == (len(few), 3)
    assert found.classes == ("large", "small", "tiny")
    p = [found.probabilities[i, found.classes.index(row[2])] for i, row in enumerate(few)]
    assert found.scores["nll"] == pytest.approx(-np.log(p).mean())
    assert found.scores["accuracy"] == np.mean(
        [a == row[2] for a, row in zip(found.predicted, few, strict=True)]
    )


def test_one_member_is_itself(place: Path, tmp_path: Path) -> None:
    """Trap 18: the pool of one has the member's bits, at the temperature that the folder says."""
    ravine.export("sizes", out=tmp_path / "one", store=place / "runs")
    predictor, manifest, _ = load_model(tmp_path / "one")
    x = np.random.default_rng(0).normal(size=(9, predictor.preparation.inputs.shape[0])).astype(np.float32)
    (logits,) = predictor.outputs(x).values()
    from ravine.ensembles.cells import Cells
    from ravine.ensembles.pooling import log_softmax

    cold = predictor.pool.predict(
        Cells.of_target(predictor.preparation.target), {predictor.members[0].name: logits}
    ).log_p
    assert cold is not None
    assert cold.tobytes() == log_softmax(logits).tobytes()
    assert manifest.temperature == predictor.temperature
    np.testing.assert_allclose(predictor.predict_prepared(x).log_p, log_softmax(cold / predictor.temperature))


def test_the_network_as_plain_pytorch_is_the_same(place: Path) -> None:
    names = runpy.run_path(str(place / "model" / "model.py"))
    predictor = load_model(place / "model", device="cpu")[0]
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32))
    for member in predictor.members:
        net = names["network"]()
        net.load_state_dict(load_file(place / "model" / f"{member.name}.safetensors"))
        assert torch.equal(net.eval()(x), member.model(x))  # type: ignore[operator]


@pytest.mark.parametrize(
    "model",
    [
        {"kind": "convnet", "channels": [4, 4], "hidden": 0, "norm": "group"},
        {"kind": "convnet", "channels": [4], "hidden": 8, "norm": "batch"},
        {"kind": "resnet", "depth": 8, "width": 4},
        {"kind": "mlp", "hidden": [4], "norm": "layer", "activation": "gelu"},
    ],
    ids=lambda model: f"{model['kind']}-{model.get('norm')}",
)
def test_every_built_in_network_is_written_out(model: dict[str, Any], tmp_path: Path) -> None:
    from ravine.nn.build import build
    from ravine.predictors.source import source_of
    from ravine.study.model import parse_model

    module = build(parse_model(model)[0], (1, 8, 8), 3).eval()
    (tmp_path / "net.py").write_text(source_of(module, "weights.safetensors", "logits"))
    net = runpy.run_path(str(tmp_path / "net.py"))["network"]()
    net.load_state_dict(module.state_dict())
    x = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(net.eval()(x), module(x))


@pytest.mark.parametrize(
    "model",
    [
        MLP(hidden=(4,), dropconnect=0.3),
        MLP(hidden=(4,), dropconnect=0.3, activation="silu"),
        MLP(hidden=(4,), dropconnect=0.3, norm="batch", activation="tanh"),
        ConvNet(channels=(4,), hidden=0, pool="stochastic", dropconnect=0.2),
        ConvNet(channels=(4, 4), hidden=6, pool="fractional"),
        ResNet(depth=8, width=4, depth_drop=0.5),
    ],
    ids=lambda model: f"{model.kind}-{'-'.join(model.changed())}",
)
def test_layers_whose_mean_pass_depends_on_the_rate_are_written_out(model: Any, tmp_path: Path) -> None:
    from ravine.nn.build import build
    from ravine.predictors.bodies import own_tensors
    from ravine.predictors.source import source_of

    module = build(model, (1, 9, 7), 3).eval()
    (tmp_path / "net.py").write_text(source_of(module, "weights.safetensors", "logits"))
    net = runpy.run_path(str(tmp_path / "net.py"))["network"]()
    net.load_state_dict(own_tensors(module))
    x = torch.rand(5, 1, 9, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(net.eval()(x), module(x), rtol=1e-5, atol=1e-6)


def test_a_module_of_ones_own_needs_its_code_or_its_graph(place: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give the Study itself"):
        ravine.export("tied", out=tmp_path / "model", store=place / "runs")
    with pytest.raises(InputError, match="another model"):
        ravine.export("tied", out=tmp_path / "model", model=Other, store=place / "runs")
    ravine.export("tied", out=tmp_path / "model", model=Tied, store=place / "runs")
    assert not (tmp_path / "model" / "model.py").exists()
    # Trap 20: weights that two layers share are saved once, and shared again.
    (file,) = (tmp_path / "model").glob("*.safetensors")
    assert set(load_file(file)) == {"first.weight", "first.bias", "out.weight", "out.bias"}
    predictor = load_model(tmp_path / "model", model=Tied)[0]
    module = predictor.members[0].model
    assert isinstance(module, Tied)
    assert module.second.weight is module.first.weight
    stored = ravine.predict("tied", [[5.1, 3.5, 1.4, 0.2]], store=place / "runs", model=Tied)
    taken = ravine.predict(tmp_path / "model", [[5.1, 3.5, 1.4, 0.2]], model=Tied)
    assert stored.probabilities is not None
    assert stored.probabilities.tolist() == taken.probabilities.tolist()  # type: ignore[union-attr]
    with pytest.raises(InputError, match="no code is run that only a folder names"):
        ravine.predict(tmp_path / "model", [[5.1, 3.5, 1.4, 0.2]])
    with pytest.raises(InputError, match="does not say what it said"):
        ravine.predict(tmp_path / "model", [[5.1, 3.5, 1.4, 0.2]], model=Other)


@pytest.mark.slow
def test_the_graph_of_a_module_of_ones_own_stands_for_its_code(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    ravine.export("tied", out=tmp_path / "model", model=Tied, onnx=True, store=place / "runs")
    by_code = ravine.predict(tmp_path / "model", [[5.1, 3.5, 1.4, 0.2]], model=Tied)
    by_graph = ravine.predict(tmp_path / "model", [[5.1, 3.5, 1.4, 0.2]])
    np.testing.assert_allclose(by_code.probabilities, by_graph.probabilities, atol=1e-5)  # type: ignore[arg-type]
    capsys.readouterr()
    assert main(["predict", str(tmp_path / "model"), "--check"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{tmp_path / 'model'}: right on")
    assert second.startswith(f"{tmp_path / 'model' / 'model.onnx'}: right on")
    (tmp_path / "model" / "model.onnx").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="ONNX graph"):
        ravine.predict(tmp_path / "model", [[5.1, 3.5, 1.4, 0.2]])


def test_a_folder_is_written_whole_or_not_at_all(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ravine.predictors import exporting

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = {path.name: path.read_bytes() for path in (place / "model").iterdir()}
    for folder, force in ((tmp_path / "new", False), (place / "model", True)):
        with monkeypatch.context() as patch:
            patch.setattr(exporting, "_write", full)
            with pytest.raises(InputError, match=r"cannot be written: No space left on device"):
                ravine.export("sizes", out=folder, store=place / "runs", force=force)
    assert list(tmp_path.iterdir()) == []
    assert {path.name: path.read_bytes() for path in (place / "model").iterdir()} == before
    assert not [path for path in place.iterdir() if path.name.startswith(".")]


def test_what_is_there_is_not_overwritten(place: Path, tmp_path: Path) -> None:
    for name, words in {
        "notes.txt": "belongs to no exported model",
        "ravine.json": "there is a model in it",
    }.items():
        folder = tmp_path / name.replace(".", "-")
        shutil.copytree(place / "model", folder)
        if name == "notes.txt":
            (folder / name).write_text("mine")
        for force in (False, True):
            if force and name == "ravine.json":
                continue
            with pytest.raises(InputError, match=words):
                ravine.export("sizes", out=folder, store=place / "runs", force=force)
    ravine.export("sizes", out=tmp_path / "ravine-json", store=place / "runs", force=True)
    assert len(list((tmp_path / "ravine-json").glob("*.safetensors"))) == 1
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "no" / "where", ""):
        with pytest.raises(InputError):
            ravine.export("sizes", out=out, store=place / "runs")
    assert (tmp_path / "file").read_text() == "mine"


def changed(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    content["digest"] = digest_of(content)  # by somebody who knows it
    path.write_text(json.dumps(content))


def swap_classes(content: dict[str, Any]) -> None:
    target = content["preparation"]["target"]
    for key in ("labels", "names"):
        target[key] = target[key][::-1]


def wider(content: dict[str, Any]) -> None:
    content["model"]["hidden"] = [1_000_000] * 100


HOSTILE: dict[str, Callable[[dict[str, Any]], None]] = {
    "shares": lambda c: c["members"][0].update(share=0.9),
    "order of members": lambda c: [m.update(share=s) for m, s in zip(c["members"], (0.6, 0.4), strict=True)],
    "a path outside": lambda c: c["members"][0].update(file="../runs/ravine.db"),
    "an absolute path": lambda c: c["members"][0].update(file="/etc/passwd"),
    "another member's file": lambda c: c["members"][0].update(file=c["members"][1]["file"]),
    "a digest": lambda c: c["members"][0].update(sha256="0" * 64),
    "a size": lambda c: c["members"][0].update(size=1),
    "another network": lambda c: c["model"].update(hidden=[9]),
    "a network beyond all memory": wider,
    "code": lambda c: c.update(model={"kind": "module", "target": "os:system", "args": {}}),
    "no such kind": lambda c: c.update(model={"kind": "pickle"}),
    "a shape": lambda c: c["preparation"]["inputs"]["scaling"].update(shape=[7]),
    "a mean": lambda c: c["preparation"]["inputs"]["scaling"]["mean"].pop(),
    "a deviation": lambda c: c["preparation"]["inputs"]["scaling"]["deviation"].__setitem__(0, 0.0),
    "a scale": lambda c: c["preparation"]["inputs"]["scaling"]["mean"].__setitem__(0, 1e3),
    "a level": lambda c: c["preparation"]["inputs"]["columns"][1]["levels"].reverse(),
    "classes in another order": swap_classes,
    "a class too few": lambda c: c["preparation"]["target"]["names"].pop(),
    "a temperature": lambda c: c.update(temperature=9.0),
    "a temperature of 0": lambda c: c.update(temperature=0.0),
    "an output": lambda c: c["vectors"]["outputs"][0].__setitem__(0, 0.123),
    "vectors of another shape": lambda c: c["vectors"].update(outputs=[[1.0]]),
    "no vectors": lambda c: c["vectors"].update(outputs=[]),
    "vectors that are none": lambda c: c["vectors"]["inputs"].update(
        size={"type": "O", "shape": [-3], "values": [{}]}
    ),
    "a tolerance": lambda c: c["vectors"].update(allowed=1e9),
    "no members": lambda c: c.update(members=[]),
    "a format to come": lambda c: c.update(format=99),
    "a key": lambda c: c.update(code="import os"),
    "a missing key": lambda c: c.pop("combine"),
    "another combine": lambda c: c.update(combine="logits"),
    "a number in words": lambda c: c.update(temperature="1"),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_a_manifest_that_was_changed_is_refused_in_one_line(place: Path, tmp_path: Path, how: str) -> None:
    shutil.copytree(place / "model", tmp_path / "model")
    changed(tmp_path / "model" / "ravine.json", HOSTILE[how])
    with pytest.raises(InputError) as error:
        ravine.predict(tmp_path / "model", place / "new.csv")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"\xff\xfe", b'{"format": 1}', b"[" * 100_000, b'{"format": 1e999}', b"NaN"],
    ids=lambda content: repr(content[:12]),
)
def test_a_manifest_that_is_none_is_refused_in_one_line(place: Path, tmp_path: Path, content: bytes) -> None:
    shutil.copytree(place / "model", tmp_path / "model")
    (tmp_path / "model" / "ravine.json").write_bytes(content)
    with pytest.raises(InputError) as error:
        ravine.predict(tmp_path / "model", place / "new.csv")
    assert "\n" not in str(error.value)


def test_a_number_that_was_changed_is_refused_though_the_test_vectors_may_not_feel_it(
    place: Path, tmp_path: Path
) -> None:
    shutil.copytree(place / "model", tmp_path / "model")
    path = tmp_path / "model" / "ravine.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content, indent=4))  # the same, written otherwise
    assert len(ravine.predict(tmp_path / "model", place / "new.csv")) == 40
    content["preparation"]["inputs"]["scaling"]["mean"][0] *= 1 + 1e-9
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="was changed: its digest"):
        ravine.predict(tmp_path / "model", place / "new.csv")


@pytest.mark.parametrize(
    "text", [{"encoding": "x"}, {"encoding": "\0"}, {"delimiter": "../x"}, {"comment": ""}]
)
def test_a_way_to_write_csv_that_is_none_is_refused(
    place: Path, tmp_path: Path, text: dict[str, str]
) -> None:
    shutil.copytree(place / "model", tmp_path / "model")
    changed(tmp_path / "model" / "ravine.json", lambda c: c["preparation"]["inputs"]["text"].update(text))
    with pytest.raises(RavineError, match=r"inputs\.text: "):
        ravine.predict(tmp_path / "model", place / "new.csv")


def test_weights_that_were_changed_are_refused(place: Path, tmp_path: Path) -> None:
    file = next((place / "model").glob("*.safetensors")).name
    data = (place / "model" / file).read_bytes()

    def refused(make: Callable[[Path], object], words: str) -> None:
        shutil.rmtree(tmp_path / "model", ignore_errors=True)
        shutil.copytree(place / "model", tmp_path / "model")
        make(tmp_path / "model" / file)
        with pytest.raises(InputError, match=words):
            load_model(tmp_path / "model")

    flipped = data[:-1] + bytes([data[-1] ^ 1])
    refused(lambda path: path.write_bytes(flipped), "was changed: its SHA-256")
    refused(lambda path: path.write_bytes(data + b"x"), "bytes; ravine.json says")
    refused(lambda path: path.unlink(), "cannot be read")

    def link(path: Path) -> None:
        path.rename(path.with_suffix(".elsewhere"))
        path.symlink_to(path.with_suffix(".elsewhere"))

    refused(link, "is not a plain file")

    def rubbish(path: Path) -> None:
        path.write_bytes(b"rubbish!")

        def known(content: dict[str, Any]) -> None:
            member = next(each for each in content["members"] if each["file"] == file)
            member.update(size=8, sha256=hashlib.sha256(b"rubbish!").hexdigest())

        changed(path.parent / "ravine.json", known)

    refused(rubbish, "no safetensors file")


def test_no_code_of_a_folder_is_run(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "model", tmp_path / "model")
    mark = tmp_path / "ran"
    for name in ("model.py", "__init__.py", "sitecustomize.py", "net.py", "ravine.py", "conftest.py"):
        (tmp_path / "model" / name).write_text(f"open({str(mark)!r}, 'w').close()\n")
    changed(tmp_path / "model" / "ravine.json", lambda c: c["members"][0]["about"].update(code="import os"))
    found = ravine.predict(tmp_path / "model", place / "new.csv")
    assert len(found) == 40
    assert not mark.exists()


def test_the_command_line(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = ("--store", str(place / "runs"))
    folder = str(tmp_path / "model")
    assert main(["export", "sizes", "--what", "ensemble", "--out", folder, *store]) == 0
    assert capsys.readouterr().out.startswith(f"{folder}: 2 seeds of adam")
    assert main(["predict", folder, "--check"]) == 0
    assert "right on 8 test vectors" in capsys.readouterr().out
    out = tmp_path / "p.csv"
    asked = ["predict", folder, str(place / "new.csv"), "--out", str(out), "--probabilities", "--members"]
    assert main(asked) == 0
    printed = capsys.readouterr().out
    assert "40 rows predicted by 2 models" in printed
    assert "1 column is not used: 'id'" in printed
    with out.open() as file:
        header, *lines = csv.reader(file)
    assert header == ["prediction", "p_large", "p_small", "p_tiny", "disagreement"]
    found = ravine.predict(folder, place / "new.csv")
    assert [line[0] for line in lines] == list(found.predicted)
    np.testing.assert_array_equal(np.array([line[1:4] for line in lines], float), found.probabilities)
    for args, words in (
        (["predict", folder], "DATA is missing"),
        (["predict", folder, str(place / "new.csv"), "--what", "winner"], "is one exported model"),
        (["predict", folder, str(place / "new.csv"), "--model", "net:Net"], "a built-in one"),
        (["predict", str(tmp_path), str(place / "new.csv"), *store], "no exported model"),
        (["predict", folder, str(tmp_path / "none.csv")], "there is no such file"),
        (["predict", folder, str(place / "new.csv"), "--out", str(tmp_path)], "is a folder"),
        (["predict", "sizes", "--check", *store], "no exported model"),
        (["export", "sizes", *store], "--out FOLDER is missing"),
        (["export", "sizes", "--out", folder, *store], "there is a model in it already"),
        (["export", "sizes", "--out", f"{folder}2", "--what", "best", *store], "allowed:"),
        (["export", "sizes", "--out", ".", *store], "name a folder"),
        (["export", "sizes", "--out", "a\0b", *store], "name a folder"),
        (["export", "sizes", "--out", "x" * 5000, *store], "File name too long"),
        (["export", "sizes", "--out", str(tmp_path / "m"), "--refit", "some", *store], "must be 'all'"),
        (["predict", folder, str(place / "new.csv"), "--out", "a\0b"], "is no path"),
        (["predict", folder, str(place / "new.csv"), "--out", "x" * 5000 + ".csv"], "File name too long"),
        (["predict", "sizes", str(place / "new.csv"), "--what", "", *store], "allowed:"),
        (["export", "nothing", "--out", str(tmp_path / "m"), *store], "no study 'nothing'"),
    ):
        assert main(args) == 2, args
        said = capsys.readouterr()
        assert words in said.err, (args, said.err)
        assert (said.out, said.err.count("\n")) == ("", 1)


@pytest.mark.slow
def test_another_process_in_another_folder_predicts_the_same(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "model", tmp_path / "elsewhere")
    shutil.copy(place / "new.csv", tmp_path / "new.csv")
    here = ravine.predict(place / "model", place / "new.csv")
    here.save(tmp_path / "here.csv", probabilities=True)
    words = ["-m", "ravine", "predict", "elsewhere", "new.csv", "--out", "there.csv", "--probabilities"]
    subprocess.run(
        [sys.executable, *words], cwd=tmp_path, check=True, capture_output=True, env={**os.environ}
    )
    assert (tmp_path / "here.csv").read_bytes() == (tmp_path / "there.csv").read_bytes()


def test_the_card_says_what_it_is(place: Path) -> None:
    card = (place / "model" / "README.md").read_text()
    for words in (
        "2 seeds of adam",
        "| size | numbers, ",
        "| town | names: north, south | filled in |",
        "| validation | accuracy | ",
        "On validation: the model was chosen on these examples, so that their scores flatter it a little",
        "| test of single networks | accuracy | ",
        "These are scores of single networks",
        "ravine predict THIS_FOLDER new.csv",
        "`model.py` is the network in plain PyTorch",
    ):
        assert words in card, words
    assert "| test |" not in card  # nobody read test for this ensemble
    content = json.loads((place / "model" / "ravine.json").read_text())
    score = content["scores"]["test_of_single_networks"]["scores"]["accuracy"]
    best = ravine.results("sizes", store=place / "runs").verdict.rules[0]
    assert (score["value"], (score["low"], score["high"])) == (best.test, best.ci)


def test_test_scores_are_those_that_were_read_before(place: Path, tmp_path: Path) -> None:
    store = tmp_path / "runs"
    shutil.copytree(place / "runs", store)
    found = ravine.ensemble("sizes", store=store)
    number = len(
        Store(store, create=False).scored.of(ravine.results("sizes", store=store).study.data_fingerprint)
    )
    ravine.export("sizes", out=tmp_path / "model", what="ensemble", store=store)
    content = json.loads((tmp_path / "model" / "ravine.json").read_text())
    judged = next(each for each in found.judged if each.pool.id == content["pool"])
    for split, wanted in (("validation", judged.validation), ("test", judged.test)):
        for name in ("accuracy", "nll"):
            score = content["scores"][split]["scores"][name]
            assert score["value"] == pytest.approx(wanted[name], rel=1e-12), (split, name)
            assert score["low"] <= score["value"] <= score["high"]
    assert f"{number} recipes were ever scored" in content["scores"]["test"]["note"]
    assert content["temperature"] == judged.temperature
    log = Store(store, create=False).scored.of(content["data"]["fingerprint"])
    assert len(log) == number  # exporting looked at nothing new


@pytest.mark.slow
def test_refit_trains_all_phases(tmp_path: Path) -> None:
    """Against an ordinary study of the merged data, whose phases are as long as the given epochs of these."""
    from ravine.predictors.refit import with_validation

    given: dict[str, Any] = {
        "model": {"kind": "mlp", "hidden": [4], "norm": "batch"},
        "phases": [
            {"train": "head", "epochs": 2, "lr": 0.1},
            {"train": "all", "epochs": 3, "schedule": "cosine"},
        ],
        "batch_size": 16,
        "seeds": 2,
        "rules": [{"kind": "adam", "lr": 0.02}],
        "evaluations": 1,
    }
    study = ravine.Study(name="iris", data="iris", **given)
    results = ravine.run(study, store=tmp_path / "runs", quiet=True, device="cpu")
    merged = ravine.Study(name="more", data=with_validation(load(study.data)), **given)
    wanted = ravine.run(merged, store=tmp_path / "runs", quiet=True, device="cpu")
    ravine.export(results, out=tmp_path / "model", what="ensemble", refit="all", device="cpu")
    predictor, manifest, _ = load_model(tmp_path / "model")
    assert manifest.refit is not None
    for member, entry in zip(predictor.members, manifest.members, strict=True):
        assert manifest.refit["steps"][member.name] == 2 * 7 + 3 * 7
        run = next(run for run in wanted.runs if run.seed == entry.about["seed"])
        stored = wanted.source.tensors("weights", run.id)
        for name, tensor in load_file(tmp_path / "model" / entry.file).items():
            assert tensor.numpy().tobytes() == stored[name].tobytes(), name


@pytest.mark.slow
def test_refit_trains_the_same_recipe_on_training_and_validation(tmp_path: Path) -> None:
    """Against an ordinary study of the merged data: the same weights, bit for bit."""
    from ravine.predictors.refit import with_validation

    given: dict[str, Any] = {
        "model": {"kind": "mlp", "hidden": [4], "norm": "batch"},
        "epochs": 7,
        "batch_size": 16,
    }
    given |= {
        "rules": [{"kind": "adam", "lr": 0.02}],
        "seeds": 2,
        "schedule": "cosine",
        "averages": {"ema": [0.9]},
    }
    study = ravine.Study(name="iris", data="iris", **given)
    results = ravine.run(study, store=tmp_path / "runs", quiet=True, device="cpu")
    merged = with_validation(load(study.data))
    assert len(merged.train) == 120
    more = {**given, "evaluations": 1}
    wanted = ravine.run(
        ravine.Study(name="more", data=merged, **more), store=tmp_path / "runs", quiet=True, device="cpu"
    )
    for what, kind in (("ensemble", "weights"), ("average", "ema 0.9/weights")):
        ravine.export(results, out=tmp_path / what, what=what, refit="all", device="cpu")
        predictor, manifest, _ = load_model(tmp_path / what)
        assert manifest.refit is not None
        assert manifest.refit["examples"] == 120
        for member, entry in zip(predictor.members, manifest.members, strict=True):
            run = next(run for run in wanted.runs if run.seed == entry.about["seed"])
            assert manifest.refit["steps"][member.name] == run.num_steps == 49
            stored = wanted.source.tensors(kind, run.id)
            for name, tensor in load_file(tmp_path / what / entry.file).items():
                assert tensor.numpy().tobytes() == stored[name].tobytes(), (what, name)
        card = (tmp_path / what / "README.md").read_text()
        assert "No score is claimed" in card
        assert "120 examples, training and validation together" in card
    with pytest.raises(InputError, match="must be 'all'"):
        ravine.export(results, out=tmp_path / "no", refit="some")
