"""A study in float64 from the launch to the exported model: nothing on the way rounds to float32."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from launches import contents, run_all, until
from safetensors.torch import load_file
from scipy.special import log_softmax
from torch import nn

import ravine
from ravine.api.studies import study_named
from ravine.cli import main
from ravine.data import load
from ravine.launch.launch import launch
from ravine.launch.writer import Timing
from ravine.predictors.loading import load_model
from ravine.predictors.predictor import Predictor
from ravine.predictors.stored import of_store
from ravine.store import Store, kind_of

# Some sums in another order: a few units in the last place of logits of a few units.
TOLERANCE = 1e-12
AT_ONCE = Timing(tick_seconds=0.0, checkpoint_seconds=0.0, checkpoint_share=1.0)
AVERAGES = {"ema": [0.9], "bank": {"steps": 5}}


class Double(nn.Module):
    """Insists on float64 by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Dropout(0.1), nn.Linear(6, 3)).double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x.double())


def a_study(name: str, **changes: object) -> ravine.Study:
    given = {
        "name": name,
        "data": "iris",
        "model": {"kind": "mlp", "hidden": [8], "norm": "batch", "dropout": 0.1},
        "steps": 20,
        "batch_size": 16,
        "seeds": 2,
        "rules": [{"kind": "adam", "lr": [0.01, 0.02]}],
        "evaluations": 4,
        "precision": "float64",
    }
    return ravine.Study(**given | changes)  # type: ignore[arg-type]


STUDIES = {
    "classes": a_study("classes", averages=AVERAGES, keep={"every": 10}),
    "numbers": a_study("numbers", data="diabetes", test_time={"modes": ["mean", "mc"], "samples": 5}),
    "own": a_study("own", model=Double, precision=None),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("precision") / "runs"
    for each in STUDIES.values():
        ravine.run(each, store=folder, quiet=True, device="cpu")
    return folder


def predictor(folder: Path, name: str, what: str = "winner") -> Predictor:
    store = Store(folder, create=False)
    model = Double if name == "own" else None
    return of_store(store, name, what, find=lambda: study_named(store, name), model=model, device="cpu")


def off(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.dtype == np.float64
    assert expected.dtype == np.float64
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("name", STUDIES)
def test_what_is_stored_is_float64(folder: Path, name: str) -> None:
    store, data = Store(folder, create=False), load(STUDIES[name].data)
    assert store.check() == []
    for record in store.runs(name):
        stored = {kind: store.tensors(kind, record.id) for kind in ("weights", "predictions")}
        for tensors in stored.values():
            assert {array.dtype.name for array in tensors.values()} <= {"float64", "int64"}
        for array in stored["predictions"].values():
            assert np.abs(array - array.astype(np.float32)).max() > 0.0
        outputs, answers = stored["predictions"]["validation"], data.validation.y
        if name == "numbers":
            loss = np.square(outputs - np.asarray(data.in_own_units(answers))).mean()
            # its answers are float32 numbers of some hundreds
            assert record.metrics["validation_loss"] == pytest.approx(loss, rel=1e-6)
            continue
        loss = -log_softmax(outputs, axis=1)[np.arange(len(answers)), answers].mean()
        assert record.metrics["validation_loss"] == pytest.approx(loss, rel=1e-14)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("classes", "winner"),
        ("classes", "ensemble"),
        ("classes", "average"),
        ("numbers", "winner"),
        ("own", "winner"),
    ],
)
def test_a_predictor_says_what_was_stored(folder: Path, name: str, what: str) -> None:
    store, found = Store(folder, create=False), predictor(folder, name, what)
    for split in ("validation", "test"):
        for member, own in found.outputs(getattr(load(STUDIES[name].data), split).x).items():
            run, _, average = member.partition("#")
            kind = kind_of(average, "predictions") if average else "predictions"
            assert off(own, store.tensors(kind, run)[split]) < TOLERANCE


@pytest.mark.parametrize(("name", "onnx"), [("classes", True), ("numbers", False), ("own", False)])
def test_an_exported_model_says_the_same(folder: Path, tmp_path: Path, name: str, onnx: bool) -> None:
    if onnx:
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
    model = Double if name == "own" else None
    ravine.export(name, out=tmp_path / "model", store=folder, model=model, onnx=onnx, device="cpu")
    x = load(STUDIES[name].data).test.x
    own, (found, *_) = predictor(folder, name), load_model(tmp_path / "model", model=model)
    for (_, one), (_, other) in zip(own.outputs(x).items(), found.outputs(x).items(), strict=True):
        assert off(other, one) < TOLERANCE
    if name == "own":
        return
    plain = runpy.run_path(str(tmp_path / "model" / "model.py"))["network"]()
    (weights,) = (tmp_path / "model").glob("*.safetensors")
    plain.load_state_dict(load_file(weights))
    (member,) = own.members
    with torch.no_grad():
        said, expected = (
            plain.eval()(torch.from_numpy(x).double()),
            member.model(torch.from_numpy(x).double()),
        )
    torch.testing.assert_close(said, expected, rtol=0, atol=0)
    assert said.dtype == torch.float64


def test_what_is_made_of_such_weights_is_float64(folder: Path) -> None:
    store = Store(folder, create=False)
    record = store.runs("classes")[0]
    ravine.average("classes", run=record.id, ema=0.8, keep=True, store=folder, device="cpu")
    (name,) = set(store.averages.names([record.id])[record.id]) - {"ema 0.9"}
    made = store.tensors(kind_of(name, "weights"), record.id)
    assert {array.dtype.name for array in made.values()} <= {"float64", "int64"}
    assert any((array != array.astype(np.float32)).any() for array in made.values())
    ravine.sharpness("classes", runs=[record.id], store=folder, device="cpu", quiet=True)
    ravine.landscape("classes", runs=[record.id], points=5, store=folder, device="cpu", quiet=True)
    ravine.soup("classes", store=folder, device="cpu", how="greedy")
    pooled = ravine.ensemble("classes", store=folder, members="seeds", device="cpu", quiet=True)
    assert len(pooled.members) > 1


def test_an_interrupted_launch_ends_with_the_bits_of_another(tmp_path: Path) -> None:
    made = STUDIES["classes"]
    with Store(tmp_path / "peace") as store:
        run_all(made, store, timing=AT_ONCE)
    with Store(tmp_path / "stopped") as store:
        until(launch(made, store, definition="text", timing=AT_ONCE), 9)
        run_all(made, store)
        assert store.check() == []
    assert contents(tmp_path / "stopped", "classes") == contents(tmp_path / "peace", "classes")


def test_the_command_line_says_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "s.toml"
    file.write_text(
        'name = "s"\ndata = "iris"\nmodel = "mlp"\nsteps = 5\nrules = ["adam"]\nprecision = "float64"\n'
    )
    assert main(["check", str(file)]) == 0
    assert "precision: float64, for which there is no machine code" in capsys.readouterr().out
    common = [str(file), "--store", str(tmp_path / "runs"), "--device", "cpu"]
    assert main(["run", *common, "--backend", "native"]) == 2
    said = capsys.readouterr().err
    assert "backend = 'native': float64 has no machine code" in said
    assert main(["run", *common, "--set", "precision=bfloat16"]) == 2
    assert "precision = 'bfloat16': only for accelerators" in capsys.readouterr().err
