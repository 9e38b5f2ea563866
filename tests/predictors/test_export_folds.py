"""The pool of a study with folds as a folder: it says what the study says, with the scales of each fold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import ravine
from ravine.data import from_arrays
from ravine.data.deal_folds import FoldOf
from ravine.errors import InputError, RavineError
from ravine.predictors.manifest import FILE, SCALED_FORMAT

FOLDS, SEEDS, N = 3, 2, 90
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, 3)) * [1.0, 30.0, 0.1] + [5.0, 100.0, 0.0]
Y = (X[:, 0] > 5.0).astype(int)


def _study(name: str, data: Any, **more: Any) -> ravine.Study:
    given: dict[str, Any] = {
        "model": {"kind": "mlp", "hidden": [6]},
        "steps": 25,
        "batch_size": 16,
        "seeds": SEEDS,
        "rules": [{"kind": "adam", "lr": [0.003, 0.05]}],
    }
    return ravine.Study(name=name, data=data, **{**given, **more})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("folds")


@pytest.fixture(scope="module")
def results(folder: Path) -> ravine.Results:
    data = from_arrays(X, Y, split={"folds": FOLDS})
    return ravine.run(_study("classes", data), store=folder / "runs", quiet=True)


@pytest.mark.parametrize("what", ["winner", "ensemble"])
def test_the_folder_predicts_what_the_study_does(folder: Path, results: ravine.Results, what: str) -> None:
    study = _study("classes", from_arrays(X, Y, split={"folds": FOLDS}))
    written = ravine.export(study, out=folder / what, store=folder / "runs", what=what)
    assert written.num_members == FOLDS * (SEEDS if what == "ensemble" else 1)
    new = RNG.standard_normal((40, 3)) * [2.0, 50.0, 0.2] + [5.0, 100.0, 0.0]
    here = ravine.predict(study, new, store=folder / "runs", what=what)
    there = ravine.predict(folder / what, new)
    np.testing.assert_array_equal(here.probabilities, there.probabilities)
    content = json.loads((folder / what / FILE).read_text())
    assert content["format"] == SCALED_FORMAT
    assert content["data"]["folds"] == f"{N} examples in {FOLDS} folds"
    card = (folder / what / "README.md").read_text()
    assert "x * factor + shift" in card
    assert f"({N} examples in {FOLDS} folds)" in card
    assert not (folder / what / "model.py").exists()


def test_each_file_has_the_scales_of_its_fold(folder: Path, results: ravine.Results) -> None:
    """network(x factor + shift), x scaled by the first fold, are the stored predictions of the fold's test part."""
    data = from_arrays(X, Y, split={"folds": FOLDS})
    assert data.folds is not None
    ravine.export(_study("classes", data), out=folder / "scales", store=folder / "runs")
    content = json.loads((folder / "scales" / FILE).read_text())
    first = data.known_preparation.inputs.scaling
    scaled = (X - np.array(first.mean)) / np.array(first.deviation)
    for member in content["members"]:
        tensors = load_file(folder / "scales" / member["file"])
        part = FoldOf.of(results.source.run(member["run"]).recipe["part"])
        x = scaled[data.folds.rows[part]] * tensors["factor"] + tensors["shift"]
        (w0, w1), (b0, b1) = (
            [tensors[name] for name in sorted(tensors) if name.endswith(kind)] for kind in ("weight", "bias")
        )
        logits = np.maximum(x @ w0.T + b0, 0.0) @ w1.T + b1
        stored = results.source.tensors("predictions", member["run"])["test"]
        np.testing.assert_allclose(logits, stored, atol=1e-4)
        assert tensors["out_factor"] == 1.0


def test_the_score_is_that_of_single_networks_on_the_test_parts(
    folder: Path, results: ravine.Results
) -> None:
    ravine.export(results, out=folder / "scored", store=folder / "runs")
    content = json.loads((folder / "scored" / FILE).read_text())
    score = content["scores"]["test_of_single_networks"]["scores"]["accuracy"]
    assert results.folds is not None
    assert score["value"] == pytest.approx(np.mean([each.test for each in results.folds.chosen]))
    assert [score["low"], score["high"]] == pytest.approx(list(results.verdict.rules[0].ci or ()))


@pytest.mark.slow
def test_the_graph_has_the_scales_of_each_fold(folder: Path, results: ravine.Results) -> None:
    runtime = pytest.importorskip("onnxruntime")
    written = ravine.export(results, out=folder / "graph", store=folder / "runs", onnx=True)
    assert written.onnx is not None
    session = runtime.InferenceSession(folder / "graph" / "model.onnx")
    (name,) = (each.name for each in session.get_inputs())
    answers = dict(
        zip((each.name for each in session.get_outputs()), session.run(None, {name: X}), strict=True)
    )
    here = ravine.predict(results, X, store=folder / "runs")
    np.testing.assert_allclose(answers["probabilities"], here.probabilities, atol=1e-5)


def test_numbers(folder: Path) -> None:
    y = np.stack([X[:, 0] * 100.0, X[:, 1]], axis=1) + RNG.standard_normal((N, 2))
    data = from_arrays(X, y, task="regression", split={"folds": FOLDS})
    study = _study("numbers", data)
    ravine.run(study, store=folder / "runs", quiet=True)
    ravine.export(study, out=folder / "numbers", store=folder / "runs")
    here, there = ravine.predict(study, X, store=folder / "runs"), ravine.predict(folder / "numbers", X)
    np.testing.assert_array_equal(here.predicted, there.predicted)
    counts = RNG.poisson(np.exp(0.5 * X[:, 0] - 2.0)).astype(np.float64)
    of_counts = from_arrays(X, counts, task="regression", split={"folds": FOLDS})
    counted = _study("counts", of_counts, loss="poisson")
    ravine.run(counted, store=folder / "runs", quiet=True)
    ravine.export(counted, out=folder / "counts", store=folder / "runs")
    one = ravine.predict(counted, X, store=folder / "runs")
    np.testing.assert_array_equal(one.predicted, ravine.predict(folder / "counts", X).predicted)


def test_a_changed_folder_is_refused(folder: Path, results: ravine.Results) -> None:
    import hashlib

    ravine.export(results, out=folder / "changed", store=folder / "runs")
    where = folder / "changed"
    content = json.loads((where / FILE).read_text())
    member = content["members"][0]
    tensors = load_file(where / member["file"])

    def rewritten(changed: dict[str, np.ndarray]) -> None:
        from ravine.predictors.manifest import digest_of

        save_file(changed, where / member["file"])
        data = (where / member["file"]).read_bytes()
        member["sha256"], member["size"] = hashlib.sha256(data).hexdigest(), len(data)
        content["digest"] = digest_of(content)
        (where / FILE).write_text(json.dumps(content))

    rewritten({name: each for name, each in tensors.items() if name != "factor"})
    with pytest.raises(InputError, match="tensor 'factor', the scales of its fold, is missing"):
        ravine.predict(where, X)
    rewritten({**tensors, "shift": tensors["shift"][:1]})
    with pytest.raises(
        InputError, match="tensor 'shift', the scales of its fold, is missing or not of shape"
    ):
        ravine.predict(where, X)
    rewritten({**tensors, "more": tensors["shift"]})
    with pytest.raises(InputError, match="tensor 'more' is none of a network"):
        ravine.predict(where, X)
    rewritten({**tensors, "shift": tensors["shift"] + 1.0})
    with pytest.raises(InputError, match="does not say what it said"):
        ravine.predict(where, X)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"refit": "all"}, "refit: study 'classes' has folds"),
        ({"what": "greedy"}, "what = 'greedy': of a study with folds; allowed"),
        ({"what": "soup"}, "what = 'soup': of a study with folds; allowed"),
    ],
)
def test_bad_input(folder: Path, results: ravine.Results, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(RavineError) as caught:
        ravine.export(results, out=folder / "bad", store=folder / "runs", **arguments)
    assert str(caught.value).startswith(words)
    assert not (folder / "bad").exists()


def test_winners_of_several_structures_are_no_folder(folder: Path) -> None:
    """Of one fold a wide network is the winner, of another a narrow one: by data that make it so."""
    x = RNG.standard_normal((N, 2))
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    data = from_arrays(x, y, split={"folds": FOLDS, "repeats": 3})
    models = [{"kind": "mlp", "hidden": [3]}, {"kind": "mlp", "hidden": [4]}]
    study = _study("several", data, model=models, compare="model", rules=[{"kind": "adam", "lr": 0.03}])
    results = ravine.run(study, store=folder / "runs", quiet=True)
    with pytest.raises(InputError, match="its networks are of 2 structures, and a folder has one"):
        ravine.export(results, out=folder / "several", store=folder / "runs")
