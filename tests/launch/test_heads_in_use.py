"""A study of heads from its file to a predictor: trained on features, stored as heads, used as whole networks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import ravine
import small_backbone
from ravine.api.features import optimum
from ravine.api.studies import read_any
from ravine.cli.main import main
from ravine.features.optimum import Convex
from ravine.launch.subject import Subject, stored_run

STUDY = """
name = "heads"
data = { kind = "npz", path = "few.npz" }
seeds = 2
batch_size = 10
phases = [{ train = "head", epochs = 4 }]
[model]
kind = "backbone"
weights = "file:small.safetensors"
target = "used_small:Small"
[[rules]]
kind = "sgd"
lr = [0.01, 0.1]
weight_decay = 0.01
[[rules]]
kind = "adamw"
lr = 0.01
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a study that has been run."""
    folder = tmp_path_factory.mktemp("heads")
    small_backbone.placed(folder, "used_small")
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(100, 3, 8, 8)).astype(np.float32), np.arange(100) % 3
    np.savez(folder / "few.npz", x=x, y=y)
    (folder / "heads.toml").write_text(STUDY, encoding="utf-8")
    ravine.run(folder / "heads.toml", store=folder / "runs", quiet=True)
    return folder


def test_heads_are_stored_and_their_body_once(folder: Path) -> None:
    with ravine.Store(folder / "runs") as store:
        runs = store.runs("heads")
        assert {run.status for run in runs} == {"done"}
        assert all({name[:5] for name in store.tensors("weights", run.id)} == {"head."} for run in runs)
        assert store.check() == []
    assert len(list((folder / "runs" / "bodies").iterdir())) == 1


def test_a_head_is_used_as_a_whole_network_without_the_file_that_its_body_came_from(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with np.load(folder / "few.npz") as found:
        x = found["x"][:7]
    with_file = ravine.predict(folder / "heads.toml", x, store=folder / "runs")
    monkeypatch.syspath_prepend(folder)
    (folder / "small.safetensors").rename(folder / "gone.safetensors")
    try:
        without = ravine.predict("heads", x, store=folder / "runs", model="used_small:Small")
    finally:
        (folder / "gone.safetensors").rename(folder / "small.safetensors")
    np.testing.assert_array_equal(with_file.probabilities, without.probabilities)
    assert np.ptp(without.probabilities, axis=0).max() > 0.01


def test_the_distance_from_the_best_head_is_that_of_the_stored_weights(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = optimum(folder / "heads.toml", store=folder / "runs", quiet=True)
    found = {each.run: each for each in measured.gaps}
    assert not measured.left_out
    assert len(found) == 6
    with ravine.Store(folder / "runs") as store:
        records = store.runs("heads")
        subject = Subject.of(read_any(folder / "heads.toml")[0], search=folder, device="cpu")
        data = subject.data_of([stored_run(records[0])])
        for record in records:
            each = found[record.id]
            assert each.weight_decay == (0.01 if record.rule == "sgd" else 0.0)
            convex = Convex(
                x_ND=data.train.x.astype(float), y_N=data.train.y, num_classes=3, weight_decay=each.weight_decay
            )  # fmt: skip
            own = store.tensors("weights", record.id)
            assert each.loss == pytest.approx(
                convex.value(own["head.output.weight"], own["head.output.bias"]), rel=1e-9
            )
            assert each.optimum == pytest.approx(convex.least().loss, abs=1e-6)
            assert each.gap > 0
    assert main(["features", str(folder / "heads.toml"), "--optimum", "--store", str(folder / "runs")]) == 0
    assert "medians" in capsys.readouterr().out
    words = ["features", str(folder / "heads.toml"), "--optimum", "--store", str(folder / "runs"), "--json"]
    assert main(words) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {each["run"]: each["gap"] for each in shown} == {run: each.gap for run, each in found.items()}


@pytest.mark.slow
def test_fine_tuning_begins_where_the_head_ended(folder: Path) -> None:
    """With next to no step, the whole network predicts what the head alone did: its scale has been taken over too."""
    text = STUDY.replace('"heads"', '"tuned"').replace(
        "4 }]", '4 }, { train = "all", steps = 1, lr = 1e-12 }]'
    )
    (folder / "tuned.toml").write_text(text, encoding="utf-8")
    ravine.run(folder / "tuned.toml", store=folder / "runs", quiet=True)
    with ravine.Store(folder / "runs") as store:
        heads = {(run.config, run.seed): run for run in store.runs("heads")}
        for run in store.runs("tuned"):
            parent = next(
                each
                for each in heads.values()
                if each.recipe == run.recipe["before"] and each.seed == run.seed
            )
            before, after = (store.tensors("predictions", each.id)["test"] for each in (parent, run))
            np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)
            weights = store.tensors("weights", run.id)
            for name, array in store.tensors("weights", parent.id).items():
                np.testing.assert_allclose(weights[name], array, rtol=1e-6)


def test_a_check_computes_no_features(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["check", str(folder / "heads.toml")]) == 0
    assert not (tmp_path / "ravine" / "features").exists()
