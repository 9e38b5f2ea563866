"""Backbones in float64: each way to train one is the whole network in PyTorch's float64, and so is its use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from engine_runs import random_dataset
from torch.nn import functional as F

import ravine
import small_backbone
from ravine import rng
from ravine.api.features import features
from ravine.api.studies import read_any
from ravine.backbones.assembled import Assembled, assembled
from ravine.backbones.blocks import blocks, hold
from ravine.engine.cohort import Cohort
from ravine.engine.records import Finished
from ravine.engine.training import Training
from ravine.launch.subject import Subject
from ravine.nn.standard import moments
from ravine.predictors.loading import load_model
from ravine.predictors.stored import of_store
from ravine.store import Store
from ravine.study import Run, Study

DATA = random_dataset((3, 8, 8), num=90)
MODEL = {"kind": "backbone", "weights": "file:small.safetensors", "target": "wide_small:Small"}
STEPS = 6
# Sums in another order, through a few layers and six steps of 0.1: some hundred units in the last place.
TOLERANCE = 1e-11


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    small_backbone.placed(folder, "wide_small")
    x = np.random.default_rng(0).integers(0, 256, (90, 3, 8, 8), dtype=np.uint8)
    np.savez(folder / "x.npz", x=x, y=np.arange(90) % 3)
    return folder


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def study(train: str, **changes: object) -> Study:
    fields: dict[str, object] = {
        "name": "wide",
        "data": DATA,
        "model": MODEL,
        "rules": [{"kind": "sgd", "lr": [0.02, 0.1]}],
        "phases": [{"train": train, "steps": STEPS}],
        "batch_size": "full",
        "seeds": 1,
        "precision": "float64",
    }
    return Study(**{**fields, **changes})  # type: ignore[arg-type]


def subject_of(folder: Path, given: Study) -> Subject:
    return Subject.of(given, search=folder, device="cpu")


def finished(subject: Subject, runs: list[Run], backend: str) -> Finished:
    network, data = subject.network(runs), subject.data_of(runs)
    for record in Training(Cohort.of(runs), network, data, backend, subject.device).records():
        if isinstance(record, Finished):
            return record
    raise AssertionError("training ends with Finished")


def in_pytorch(folder: Path, spec: object, run: Run) -> Assembled:
    """The whole network, trained in float64 as a loop of anyone's would."""
    with rng.keyed_init(run.seed):
        whole = assembled(spec, (3, 8, 8), 3, search=folder).double()  # type: ignore[arg-type]
    trained = {"head": [], "from:2": blocks(whole)[2:], "all": blocks(whole)}[run.recipe.train]
    for name, param in whole.named_parameters():
        param.requires_grad_(
            param.requires_grad and (name.startswith("head.") or any(name in block for block in trained))
        )
    x, y = torch.from_numpy(DATA.train.x).double(), torch.from_numpy(np.asarray(DATA.train.y))
    if run.recipe.train == "head":  # a head on features begins with their scale
        with torch.no_grad():
            mean, deviation = moments(whole.eval().features(x).numpy())
        whole.head.standard.mean[:] = torch.from_numpy(mean)
        whole.head.standard.deviation[:] = torch.from_numpy(deviation)
    whole = hold(whole, [name for name, param in whole.named_parameters() if param.requires_grad]).train()
    own = [param for param in whole.parameters() if param.requires_grad]
    rule = torch.optim.SGD(own, lr=run.recipe.hypers["lr"])
    for _ in range(STEPS):
        rule.zero_grad()
        F.cross_entropy(whole(x), y).backward()
        rule.step()
    return whole.eval()


@pytest.mark.parametrize("backend", ["fused", "serial"])
@pytest.mark.parametrize(
    ("train", "norm"), [("head", "frozen"), ("from:2", "adapt"), ("from:2", "frozen"), ("all", "adapt")]
)
def test_it_is_pytorchs_float64(folder: Path, train: str, norm: str, backend: str) -> None:
    subject = subject_of(folder, study(train, model={**MODEL, "norm": norm}))
    runs = subject.runs()
    data = subject.data_of(runs)
    assert data.train.x.dtype == (np.float32 if train == "all" else np.float64)
    together = None if backend == "serial" else finished(subject, runs, backend)
    for run in runs:
        record = together or finished(subject, [run], backend)
        row = record.runs.index(run.id)
        whole = in_pytorch(folder, subject.study.models[0], run)
        right = whole.state_dict()
        for name, array in record.weights.items():
            assert array.dtype in (np.float64, np.int64)
            np.testing.assert_allclose(array[row], right[name], rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)
        with torch.no_grad():
            logits = whole(torch.from_numpy(DATA.test.x).double()).numpy()
        assert record.predictions["test"].dtype == np.float64
        np.testing.assert_allclose(record.predictions["test"][row], logits, rtol=TOLERANCE, atol=TOLERANCE)


def test_features_of_both_precisions_are_kept_under_keys_of_their_own(folder: Path) -> None:
    both = study("head", precision=None, variants=[{}, {"precision": "float64"}])
    found = features(_file(folder, both), quiet=True, device="cpu")
    (single, double) = found.values()
    assert [each.key["dtype"] for each in (single, double)] == ["float32", "float64"]
    assert list(found)[1] == f"{next(iter(found))}, float64"
    for split in ("train", "validation", "test"):
        one, other = single.arrays[split], double.arrays[split]
        assert (one.dtype, other.dtype) == (np.float32, np.float64)
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
        assert np.abs(other - other.astype(np.float32)).max() > 0.0
    assert all(each.hit for each in features(_file(folder, both), quiet=True, device="cpu").values())


def _file(folder: Path, given: Study) -> Path:
    """The study of the same model and variants on the pictures in the folder."""
    lines = [
        'name = "both"', 'data = { kind = "npz", path = "x.npz" }', 'batch_size = 16', 'seeds = 1',
        'model = { kind = "backbone", weights = "file:small.safetensors", target = "wide_small:Small" }',
        'rules = [{ kind = "sgd", lr = 0.05 }]',
        f"phases = [{{ train = \"{given.phases[0].train}\", steps = 4 }}]",
        'variants = [{}, { precision = "float64" }]' if given.variants else 'precision = "float64"',
    ]  # fmt: skip
    file = folder / f"{given.name}-{given.phases[0].train.replace(':', '')}-{len(given.variants)}.toml"
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.mark.parametrize("train", ["head", "from:2"])
def test_a_predictor_says_what_was_stored_and_so_does_an_export(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, train: str
) -> None:
    """One study has both precisions, so two bodies of the same weights lie side by side."""
    both = _file(folder, study(train, precision=None, variants=[{}, {"precision": "float64"}]))
    monkeypatch.chdir(folder)
    ravine.run(both, store=tmp_path / "runs", quiet=True, device="cpu")
    store = Store(tmp_path / "runs")
    assert store.check() == []
    made, _, search = read_any(both, (), ())
    data = Subject.of(made, search=search, device="cpu").data
    dtypes, model = set(), MODEL["target"]
    for record in store.runs("both"):
        stored = store.tensors("predictions", record.id)["test"]
        dtypes.add(stored.dtype.name)
        found = of_store(store, "both", record.id, find=lambda: (made, search), device="cpu")
        (said,) = found.outputs(data.test.x).values()
        assert said.dtype == stored.dtype
        close = TOLERANCE if stored.dtype == np.float64 else 1e-4
        np.testing.assert_allclose(said, stored, rtol=close, atol=close)
        keys = {"store": tmp_path / "runs", "model": model, "device": "cpu"}
        ravine.export("both", what=record.id, out=tmp_path / record.id, **keys)
        (exported, *_) = load_model(tmp_path / record.id, model=model)
        (again,) = exported.outputs(data.test.x).values()
        np.testing.assert_array_equal(again, said)
    assert dtypes == {"float32", "float64"}
