"""Runs that train a head alone learn from features, all at once, and are heads of the whole network."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_runs import random_dataset
from safetensors.torch import load_file, save_file

import small_backbone
from ravine import rng
from ravine.backbones import files, remembered
from ravine.backbones.assembled import assembled
from ravine.data import Dataset
from ravine.engine.cohort import Cohort
from ravine.engine.plan import plan
from ravine.engine.records import Finished
from ravine.engine.training import Training
from ravine.errors import ModelError
from ravine.launch.subject import Subject
from ravine.study import Run, Study
from small_backbone import Small, trained

DATA = random_dataset((3, 8, 8), num=90)
MODEL = {"kind": "backbone", "weights": "file:small.safetensors", "target": "headed_small:Small"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the code of a small network and its weights."""
    folder = tmp_path_factory.mktemp("study")
    small_backbone.placed(folder, "headed_small")
    return folder


def study(**changes: object) -> Study:
    fields: dict[str, object] = {
        "name": "heads",
        "data": DATA,
        "model": MODEL,
        "rules": [{"kind": "sgd", "lr": [0.01, 0.1]}, {"kind": "adam", "lr": 1e-2}],
        "phases": [{"train": "all", "steps": 12}],
        "batch_size": 16,
        "seeds": 2,
    }
    return Study(**{**fields, **changes})  # type: ignore[arg-type]


def head_runs(subject: Subject) -> list[Run]:
    return [replace(run, recipe=replace(run.recipe, train="head")) for run in subject.runs()]


def finished(subject: Subject, runs: list[Run], backend: str = "native") -> Finished:
    training = Training(
        Cohort.of(runs), subject.network(runs), subject.data_of(runs), backend, subject.device
    )
    for record in training.records():
        if isinstance(record, Finished):
            return record
    raise AssertionError("training ends with Finished")


def test_heads_learn_from_standardized_features_in_machine_code(folder: Path) -> None:
    subject = Subject.of(study(), search=folder, device="cpu")
    runs = head_runs(subject)
    data, network = subject.data_of(runs), subject.network(runs)
    assert data.input_shape == (7,)
    np.testing.assert_allclose(data.train.x.mean(0), 0, atol=1e-5)
    assert 0.7 < data.train.x.std() < 1.3
    assert network.layout.names == ("head.output.weight", "head.output.bias")
    assert plan(runs, network, data, subject.device).backend == "native"
    assert subject.data_of(runs) is data  # once for all runs
    assert network.flushes


def test_a_trained_head_is_the_head_of_the_whole_network(folder: Path) -> None:
    subject = Subject.of(study(), search=folder, device="cpu")
    runs = head_runs(subject)
    record = finished(subject, runs)
    with rng.keyed_init(0):
        whole = assembled(subject.study.models[0], (3, 8, 8), 3, search=folder).eval()  # type: ignore[arg-type]
    heads = {name for name in whole.state_dict() if name.startswith("head.")}
    assert set(record.weights) == heads
    for row in range(len(runs)):
        own = {name: torch.from_numpy(array[row]) for name, array in record.weights.items()}
        whole.load_state_dict(own, strict=False)
        with torch.no_grad():
            logits = whole(torch.from_numpy(DATA.test.x))
        np.testing.assert_allclose(logits, record.predictions["test"][row], rtol=1e-4, atol=1e-5)


def test_bits_of_a_run_depend_neither_on_others_nor_on_how_features_were_found(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = Subject.of(study(), search=folder, device="cpu")
    runs = head_runs(subject)
    together = finished(subject, runs)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    alone = Subject.of(study(), search=folder, device="cpu")
    for run in (runs[0], runs[-1]):
        record = finished(alone, [run])
        row = together.runs.index(run.id)
        for name, array in record.weights.items():
            assert array[0].tobytes() == together.weights[name][row].tobytes()
    first = alone.frozen.lines()
    assert len(first) == 1
    assert "90 examples, 7 numbers each, 0.0 MB, computed in" in first[0]
    again = Subject.of(study(), search=folder, device="cpu")
    again.data_of(runs)
    assert again.frozen.lines()[0].endswith("from the cache")


@pytest.mark.slow
def test_a_head_begins_as_that_of_the_whole_network_does(folder: Path) -> None:
    subject = Subject.of(study(), search=folder, device="cpu")
    whole_runs = subject.runs()
    head, whole = subject.network(head_runs(subject)), subject.network(whole_runs)
    for name, value in head.initial(1).items():
        if "standard" not in name:
            assert torch.equal(value, whole.initial(1)[name]), name


@pytest.mark.slow
def test_a_hidden_layer_with_dropout_is_trained_too(folder: Path) -> None:
    model = {**MODEL, "head": {"hidden": [5], "dropout": [0.0, 0.3]}}
    subject = Subject.of(study(model=model), search=folder, device="cpu")
    record = finished(subject, head_runs(subject))
    assert "head.linear1.weight" in record.weights
    assert all(np.isfinite(array).all() for array in record.weights.values())


def test_what_is_to_be_known_of_a_backbone_is_said_of_runs_of_its_head_too(folder: Path) -> None:
    halves = {name: each.half() for name, each in trained(Small()).state_dict().items() if "num" not in name}
    save_file(halves, folder / "halves.safetensors")
    model = {**MODEL, "weights": "file:halves.safetensors"}
    subject = Subject.of(study(model=model), search=folder, device="cpu")
    remark = subject.network(head_runs(subject)).remark
    assert "tensors of halves.safetensors: float16, read as float32" in remark
    assert remark == subject.network(subject.runs()).remark


def test_no_features_are_kept_under_the_hash_of_other_weights(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose file has changed since its hash was remembered, but for its size and time."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(remembered, "WORTH_BYTES", 1)
    weights, file = load_file(folder / "small.safetensors"), folder / "secret.safetensors"
    made = study(model={**MODEL, "weights": "file:secret.safetensors"})
    for factor in (1.0, 2.0):
        save_file({name: factor * each for name, each in weights.items()}, file)
        os.utime(file, ns=(10**18, 10**18))
        files._digest.cache_clear()  # as in another process
        subject = Subject.of(made, search=folder, device="cpu")
        runs = head_runs(subject)
        if factor == 1.0:
            continue
        with pytest.raises(ModelError, match="the content has changed"):
            subject.data_of(runs)
        assert not list(tmp_path.glob("**/features/*"))
        again = Subject.of(made, search=folder, device="cpu")
        assert head_runs(again)[0].recipe.model["weights"] != runs[0].recipe.model["weights"]


def test_features_a_hundred_times_as_large_end_in_the_same_predictions(folder: Path) -> None:
    """One grid of learning rates is enough for any body."""
    found = []
    for factor in (1.0, 100.0):
        torch.manual_seed(4)
        net = trained(Small())
        net.mixed.weight.data *= factor  # type: ignore[union-attr,operator]
        net.mixed.bias.data *= factor  # type: ignore[union-attr,operator]
        save_file(net.state_dict(), folder / f"times{factor:g}.safetensors")
        model = {**MODEL, "weights": f"file:times{factor:g}.safetensors"}
        subject = Subject.of(study(model=model), search=folder, device="cpu")
        found.append(finished(subject, head_runs(subject)).predictions["test"])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-3, atol=1e-3)


def test_a_part_of_the_data_is_standardized_by_its_own_training_examples(folder: Path) -> None:
    subject = Subject.of(study(), search=folder, device="cpu")
    runs = head_runs(subject)
    part = {"per_class": 5, "draw": 1}
    parted = [replace(run, recipe=replace(run.recipe, part=part, batch_size=4)) for run in runs]
    data: Dataset = subject.data_of(parted)
    assert (len(data.train), len(data.validation), len(data.test)) == (12, 3, len(DATA.test))
    np.testing.assert_allclose(data.train.x.mean(0), 0, atol=1e-5)
    whole = subject.frozen.features(subject.study.models[0], runs[0].recipe)  # type: ignore[arg-type]
    assert len(whole.arrays["train"]) == len(DATA.train)
