"""Runs whose frozen part ends before some block learn from activations, and are those of the whole network."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_runs import random_dataset
from launches import contents, run_all
from torch.nn import functional as F

import ravine
import small_backbone
from ravine import rng
from ravine.api.studies import read_any
from ravine.backbones.assembled import Assembled, assembled
from ravine.backbones.blocks import blocks, hold
from ravine.engine.cohort import Cohort
from ravine.engine.records import Finished
from ravine.engine.training import Training
from ravine.errors import StoreError
from ravine.launch import frozen
from ravine.launch.launch import launch
from ravine.launch.progress import Progress
from ravine.launch.subject import Subject
from ravine.launch.writer import Timing
from ravine.predictors.stored import of_store
from ravine.store import Store
from ravine.study import Run, Study
from ravine.study.modes import Mode
from ravine.study.views import FLIPS

DATA = random_dataset((3, 8, 8), num=90)
MODEL = {"kind": "backbone", "weights": "file:small.safetensors", "target": "bounded_small:Small"}
STEPS = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the code of a small network and its weights."""
    folder = tmp_path_factory.mktemp("study")
    small_backbone.placed(folder, "bounded_small")
    return folder


def study(train: str = "from:2", **changes: object) -> Study:
    fields: dict[str, object] = {
        "name": "boundary",
        "data": DATA,
        "model": MODEL,
        "rules": [{"kind": "sgd", "lr": [0.02, 0.1]}],
        "phases": [{"train": train, "steps": STEPS}],
        "batch_size": "full",
        "seeds": 2,
    }
    return Study(**{**fields, **changes})  # type: ignore[arg-type]


def subject_of(folder: Path, given: Study) -> Subject:
    return Subject.of(given, search=folder, device="cpu")


def finished(subject: Subject, runs: list[Run], backend: str = "fused") -> Finished:
    network, data = subject.network(runs), subject.data_of(runs)
    for record in Training(Cohort.of(runs), network, data, backend, subject.device).records():
        if isinstance(record, Finished):
            return record
    raise AssertionError("training ends with Finished")


def in_pytorch(folder: Path, spec: object, run: Run) -> Assembled:
    """The whole network, trained as a loop of anyone's would."""
    with rng.keyed_init(run.seed):
        whole = assembled(spec, (3, 8, 8), 3, search=folder)  # type: ignore[arg-type]
    numbered = blocks(whole)
    train = run.recipe.train
    for name, param in whole.named_parameters():
        inside = name.startswith("head.") or any(name in block for block in numbered[2:])
        wanted = inside if train == "from:2" else bool(re.search(train.removeprefix("match:"), name))
        param.requires_grad_(wanted and param.requires_grad)
    whole = hold(whole, [name for name, param in whole.named_parameters() if param.requires_grad]).train()
    own = [param for param in whole.parameters() if param.requires_grad]
    rule = torch.optim.SGD(own, lr=run.recipe.hypers["lr"])
    x, y = torch.from_numpy(DATA.train.x), torch.from_numpy(np.asarray(DATA.train.y))
    for _ in range(STEPS):
        rule.zero_grad()
        F.cross_entropy(whole(x), y).backward()
        rule.step()
    return whole.eval()


@pytest.mark.parametrize(
    ("train", "norm"),
    [
        ("from:2", "adapt"),
        pytest.param("from:2", "frozen", marks=pytest.mark.slow),
        pytest.param("from:2", "affine", marks=pytest.mark.slow),
        ("match:^body.last|output.bias", "frozen"),
    ],
)
def test_what_is_trained_on_activations_is_the_whole_network(folder: Path, train: str, norm: str) -> None:
    subject = subject_of(folder, study(train, model={**MODEL, "norm": norm}))
    runs = subject.runs()
    assert subject.data_of(runs).input_shape == (8, 4, 4)
    record = finished(subject, runs)
    for run in (runs[0], runs[-1]):
        whole, row = in_pytorch(folder, subject.study.models[0], run), record.runs.index(run.id)
        right = whole.state_dict()
        for name, array in record.weights.items():
            np.testing.assert_allclose(array[row], right[name], rtol=1e-3, atol=1e-5, err_msg=name)
        with torch.no_grad():
            logits = whole(torch.from_numpy(DATA.test.x))
        np.testing.assert_allclose(record.predictions["test"][row], logits, rtol=1e-3, atol=1e-4)


def test_only_what_comes_after_the_boundary_is_trained_and_stored(folder: Path) -> None:
    subject = subject_of(folder, study())
    network = subject.network(subject.runs())
    assert "file:small.safetensors, before inner" in dict(subject.all_features())
    names = {*network.layout.names, *network.fixed, *network.buffers}
    assert not any(name.startswith(("body.stem", "body.norm", "body.wide")) for name in names)
    assert set(network.layout.names) > {"body.inner.weight", "body.last.bias", "head.output.bias"}


def test_bits_depend_neither_on_the_cache_nor_on_other_runs(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cold = subject_of(folder, study())
    runs = cold.runs()
    together = finished(cold, runs, "native")
    assert cold.frozen.lines()[0].startswith(
        "activations before inner: 90 examples, 128 numbers each, 0.0 MB, comp"
    )
    warm = subject_of(folder, study())
    alone = finished(warm, [runs[-1]], "native")
    assert warm.frozen.lines()[0].endswith("from the cache")
    row = together.runs.index(runs[-1].id)
    for name, array in alone.weights.items():
        assert array[0].tobytes() == together.weights[name][row].tobytes()


def test_runs_say_what_they_are_trained_on(folder: Path) -> None:
    def models(**changes: object) -> list[dict[str, object]]:
        subject = subject_of(folder, study(**changes))  # type: ignore[arg-type]
        return [dict(each.model) for each in subject.runs()[0].recipe.chain]

    def marked(**changes: object) -> list[bool]:
        return ["activations" in each for each in models(**changes)]

    head, some, whole = ({"train": each, "steps": 2} for each in ("head", "from:2", "all"))
    assert marked(phases=[head, some]) == [False, True]
    assert marked(phases=[some, head]) == [True, True]
    assert marked(phases=[some, whole]) == [True, False]
    assert marked(train="from:0") == [False]
    assert marked(augment={"flip": 0.5}) == [False]
    assert marked(model={**MODEL, "weights": None}) == [False]


def test_what_cannot_be_cut_is_trained_through_the_whole_network(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = subject_of(folder, study("match:stem"))
    assert first.data_of(first.runs()) is first.data
    monkeypatch.setattr(frozen, "MOST_BYTES", 90 * 128 * 4 - 1)
    large = subject_of(folder, study())
    assert large.data_of(large.runs()) is large.data
    [line] = large.frozen.lines()
    assert line.startswith("! activations before inner would take 0.0 GB")


@pytest.mark.slow
def test_apart_and_through_the_whole_network_end_alike(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = subject_of(folder, study())
    assert small.data_of(small.runs()).input_shape == (8, 4, 4)
    monkeypatch.setattr(frozen, "MOST_BYTES", 0)
    large = subject_of(folder, study())
    apart, through = finished(small, small.runs()), finished(large, large.runs())
    for name, array in apart.weights.items():
        np.testing.assert_allclose(array, through.weights[name], rtol=1e-3, atol=1e-5)


def test_a_part_of_the_data_is_a_part_of_the_activations(folder: Path) -> None:
    subject = subject_of(folder, study())
    runs = subject.runs()
    part = {"per_class": 5, "draw": 1}
    parted = [replace(run, recipe=replace(run.recipe, part=part, batch_size=4)) for run in runs]
    assert len(subject.data_of(parted).train) == 12
    known = subject.data_of(runs)
    rows = {row.tobytes() for row in known.train.x}
    assert all(row.tobytes() in rows for row in subject.data_of(parted).train.x)


def test_runs_of_two_boundaries_are_no_one_network(folder: Path) -> None:
    subject = subject_of(folder, study())
    run = subject.runs()[0]
    other = replace(run, recipe=replace(run.recipe, train="from:3"))
    with pytest.raises(StoreError, match="one trained from:2, the other from:3"):
        subject.network([run, other])


FILE = """
name = "{name}"
data = {{ kind = "npz", path = "few.npz" }}
seeds = 1
batch_size = 10
phases = [{phases}]
{more}
[model]
kind = "backbone"
weights = "file:small.safetensors"
target = "bounded_small:Small"
[[rules]]
kind = "adam"
lr = [0.003, 0.01]
"""
CHAIN = '{ train = "head", epochs = 1, lr = 0.01 }, { train = "from:2", epochs = 2 }'


def run_file(folder: Path, name: str, phases: str, more: str = "", store: str = "runs") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(FILE.format(name=name, phases=phases, more=more), encoding="utf-8")
    ravine.run(path, store=folder / store, backend="fused", quiet=True)
    return path


@pytest.fixture(scope="module")
def done(folder: Path) -> Path:
    """With a study of two phases that has been run."""
    x = np.random.default_rng(0).normal(size=(100, 3, 8, 8)).astype(np.float32)
    np.savez(folder / "few.npz", x=x, y=np.arange(100) % 3)
    run_file(folder, "some", CHAIN, 'test_time = { views = "flips" }')
    return folder


@pytest.fixture(scope="module")
def more(done: Path) -> Path:
    """And one that goes on from its end, and one of the whole network."""
    run_file(done, "all", CHAIN + ', { train = "all", steps = 1, lr = 1e-12 }')
    run_file(done, "drawn", '{ train = "from:2", epochs = 1 }', "augment = { flip = 0.5 }")
    return done


def test_a_whole_network_is_put_together_of_the_body_and_what_was_trained(done: Path) -> None:
    """It carries pictures through all of it, and comes to what was stored of the activations."""
    study, _, search = read_any(done / "some.toml")
    x = torch.from_numpy(subject_of(done, study).data.test.x)
    with ravine.Store(done / "runs") as store:
        assert store.check() == []
        for run in store.runs("some"):
            predictor = of_store(store, "some", run.id, find=lambda: (study, search), device="cpu")
            with torch.no_grad():
                logits = predictor.members[0].model(x)
            stored = store.tensors("predictions", run.id)["test"]
            np.testing.assert_allclose(logits, stored, rtol=1e-3, atol=1e-5)
    assert len(list((done / "runs" / "bodies").iterdir())) == 1


@pytest.mark.parametrize("name", ["some", pytest.param("heads", marks=pytest.mark.slow)])
def test_views_at_test_are_of_the_pictures(done: Path, name: str) -> None:
    """And not of what the frozen part makes of them."""
    if name == "heads":
        run_file(done, name, '{ train = "head", epochs = 1 }', 'test_time = { views = "flips" }')
    study, _, search = read_any(done / f"{name}.toml")
    x = torch.from_numpy(subject_of(done, study).data.test.x)
    with ravine.Store(done / "runs") as store:
        run = store.runs(name)[0]
        net = of_store(store, name, run.id, find=lambda: (study, search), device="cpu").members[0].model
        with torch.no_grad():
            right = (net(x).softmax(1) + net(x.flip(-1)).softmax(1)) / 2
        found = store.evaluated.read(Mode(views=FLIPS).id, [run.id])[run.id]["test"]
    np.testing.assert_allclose(np.exp(found), right, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_a_phase_that_trains_everything_goes_on_from_there(more: Path) -> None:
    """With next to no step, it predicts what the run before did, through another network."""
    with ravine.Store(more / "runs") as store:
        before = {(run.hypers["lr"], run.seed): run.id for run in store.runs("some")}
        for run in store.runs("all"):
            one, two = (
                store.tensors("predictions", each)["test"]
                for each in (before[run.hypers["lr"], run.seed], run.id)
            )
            np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-5)
            assert run.recipe["before"]["model"]["activations"] == "cached"


@pytest.mark.slow
def test_what_rests_is_stored_once(more: Path) -> None:
    """Also of runs that carry pictures through the whole network; who reads their weights gets all of it."""
    blocks_of_weights = [header(path) for path in (more / "runs").rglob("weights-*.safetensors")]
    through = [each for each in blocks_of_weights if "body.stem.weight" in each]
    assert through
    for each in through:
        num = each["head.output.bias"]["shape"][0]
        assert each["body.stem.weight"]["shape"] == [num, 0, 0]
        assert each["body.last.weight"]["shape"] == [num, 6, 8, 3, 3]
    with ravine.Store(more / "runs") as store:
        [first, *_] = store.runs("drawn")
        weights, body = store.tensors("weights", first.id), store.bodies.get(first.recipe["model"])
        assert "activations" not in first.recipe["model"]
    for name in ("body.stem.weight", "body.norm.running_mean"):
        np.testing.assert_array_equal(weights[name], body[name])
    assert not np.array_equal(weights["body.last.weight"], body["body.last.weight"])


def header(path: Path) -> dict[str, dict[str, list[int]]]:
    with path.open("rb") as file:
        found: dict[str, dict[str, list[int]]] = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    found.pop("__metadata__", None)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("steps", [9, 13, 22])
def test_stopped_anywhere_and_without_its_cache_it_ends_with_the_same_bits(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    phases = [{"train": each, "steps": 8} for each in ("head", "from:2", "all")]
    made = study(
        phases=phases,
        rules=[{"kind": "adam", "lr": [0.02, 0.1]}],
        batch_size=16,
        averages={"ema": 0.9},
        model={**MODEL, "norm": "adapt"},
    )
    often = Timing(tick_seconds=0.0, checkpoint_seconds=0.0, checkpoint_share=1.0)
    options = {"search": folder, "backend": "native", "timing": often}
    for name in ("peace", "stopped"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache-{name}"))
        with Store(tmp_path / name) as store:
            if name == "stopped":
                done = 0
                events = launch(made, store, definition="text", **options)  # type: ignore[arg-type]
                for event in events:
                    done += isinstance(event, Progress)
                    if done == steps:
                        break
                events.close()  # type: ignore[attr-defined]
                assert {run.status for run in store.runs("boundary", all=True)} != {"done"}
                monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
            run_all(made, store, **options)
            assert store.check() == []
    assert contents(tmp_path / "peace", "boundary") == contents(tmp_path / "stopped", "boundary")
