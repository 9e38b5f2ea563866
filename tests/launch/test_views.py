"""Heads on views: each training example drawn k times, once for all runs, and every view used equally often."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine_runs import random_dataset

import ravine
import small_backbone
from ravine.api.features import features
from ravine.augment.batch import augmented_batch
from ravine.augment.fixed import fixed_of
from ravine.augment.spec import Augment
from ravine.backbones.assembled import assembled
from ravine.cached import key_hash
from ravine.data import Dataset
from ravine.engine.batches import Order, views_at
from ravine.engine.cohort import Cohort
from ravine.engine.records import Finished
from ravine.engine.training import Training
from ravine.errors import StudyError
from ravine.features.head import Standardized
from ravine.features.views import Drawing, changing, views_key
from ravine.launch.problems import problems, remarks
from ravine.launch.seen import seen
from ravine.launch.subject import Subject, by_structure
from ravine.rng import keyed_init
from ravine.study import Run, Study, parse_study
from ravine.study.reading import read_data

DATA = random_dataset((3, 8, 8), num=90)
MODEL = {"kind": "backbone", "weights": "file:small.safetensors", "target": "viewed_small:Small"}
AUGMENT: dict[str, Any] = {"flip": 0.5, "crop": 2, "views": 3}
CPU = torch.device("cpu")

STUDY = """
name = "viewed"
data = { kind = "npz", path = "some.npz" }
seeds = 1
batch_size = 4
phases = [{ train = "head", epochs = 2 }]
[model]
kind = "backbone"
weights = "file:small.safetensors"
target = "viewed_small:Small"
[ladder]
per_class = [5]
draws = 3
[[rules]]
kind = "sgd"
lr = [0.01, 0.1]
[[variants]]
label = "plain"
[[variants]]
label = "views"
augment = { flip = 0.5, views = 4 }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the code of a small network and its weights."""
    folder = tmp_path_factory.mktemp("study")
    small_backbone.placed(folder, "viewed_small")
    return folder


def study(**changes: Any) -> Study:
    fields: dict[str, Any] = {
        "name": "views",
        "data": DATA,
        "model": MODEL,
        "rules": [{"kind": "sgd", "lr": [0.01, 0.1]}],
        "phases": [{"train": "head", "epochs": 4}],
        "batch_size": 16,
        "seeds": 2,
        "augment": AUGMENT,
    }
    return Study(**{**fields, **changes})


def subject_of(folder: Path, **changes: Any) -> Subject:
    return Subject.of(study(**changes), search=folder, device="cpu")


def finished(subject: Subject, runs: list[Run]) -> Finished:
    training = Training(
        Cohort.of(runs), subject.network(runs), subject.data_of(runs), "native", subject.device
    )
    for record in training.records():
        if isinstance(record, Finished):
            return record
    raise AssertionError("training ends with Finished")


@pytest.fixture(scope="module")
def subject(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        found = subject_of(folder)
        for _ in found.prepare(found.runs()):
            pass
    return found


def views_of(subject: Subject) -> np.ndarray:
    data = subject.data_of(subject.runs())
    assert data.views is not None
    return data.views.load().x.reshape(data.views.num, len(data.train), -1)


def test_a_view_is_what_a_run_of_seed_0_sees_in_that_epoch_through_the_plain_network(
    subject: Subject, folder: Path
) -> None:
    data, found = subject.data_of(subject.runs()), views_of(subject)
    assert data.views is not None
    assert data.views.num == 3
    with keyed_init(0):
        whole = assembled(subject.study.models[0], (3, 8, 8), 3, search=folder).eval()  # type: ignore[arg-type]
    x, rows = torch.from_numpy(DATA.train.x), torch.arange(len(DATA.train))
    strengths = {"flip": torch.tensor(0.5), "crop": torch.tensor(2.0)}
    scaled = subject._learned(subject.runs())
    assert isinstance(scaled, Standardized)
    for view in range(3):
        drawn, _ = augmented_batch(
            x, rows, rows, rows, view, 0, strengths, fixed_of(x, strengths), Augment(), None
        )
        assert (drawn != x).flatten(1).any(1).float().mean() > 0.5
        with torch.no_grad():
            right = (whole.features(drawn).numpy() - scaled.mean) / scaled.deviation
        np.testing.assert_allclose(found[view], right, rtol=1e-4, atol=1e-4)
    y = data.views.load().y
    assert y.tolist() == DATA.train.y.tolist() * 3


def test_pictures_are_those_that_training_makes() -> None:
    """Bit for bit, of the batches of a study that draws the same examples anew in each epoch."""
    augment = {"rotate": 20, "brightness": 0.3, "cutout": 0.5, "fill": "reflect"}
    x = np.random.default_rng(0).uniform(size=(40, 3, 8, 8)).astype(np.float32)
    data = replace(DATA, train=type(DATA.train)(x=x, y=np.arange(40) % 3))
    network = {"kind": "mlp", "hidden": [3]}
    online = Subject.of(
        Study(
            name="s",
            data=data,
            model=network,
            rules=["adam"],
            epochs=2,
            batch_size=40,
            seeds=1,
            augment=augment,
        ),
        device="cpu",
    )
    runs = online.runs()
    training = Training(Cohort.of(runs), online.network(runs), data, "native", CPU)
    drawing = Drawing.of(replace(runs[0].recipe, augment={**(runs[0].recipe.augment or {}), "views": 2}))
    assert drawing is not None
    change, drawn = changing(data, drawing), np.empty((80, *x.shape[1:]), np.float32)
    for rows in (np.arange(64), np.arange(16, 80)):  # both views in a batch
        drawn[rows] = change(x[rows % 40], rows)
    for epoch in range(2):
        training.advance()
        augmenting = training.setting.augmenting
        assert augmenting is not None
        order = training._order.rows(epoch)[0, 0].numpy()
        assert drawn[40 * epoch + order].tobytes() == augmenting.room.x[0, 0].numpy().tobytes()


def test_augment_shows_the_views_that_a_run_has(subject: Subject, folder: Path) -> None:
    found = seen(subject, seed=1, example=7, epochs=4)
    x, rows = torch.from_numpy(DATA.train.x), torch.arange(len(DATA.train))
    strengths = {"flip": torch.tensor(0.5), "crop": torch.tensor(2.0)}
    views = views_at(torch.tensor([1]), 0, len(rows), 3)[0]
    num_seen = 0
    for look in found.settings[0].looks:
        if look.x is not None:
            view = (int(views[7]) + look.epoch) % 3
            drawn, _ = augmented_batch(
                x, rows, rows, rows, view, 0, strengths, fixed_of(x, strengths), Augment(), None
            )
            np.testing.assert_array_equal(look.x, drawn[7].numpy())
            num_seen += 1
    assert num_seen > 2


def test_every_view_is_used_equally_often_and_seeds_begin_with_others() -> None:
    order = Order((0, 1), 20, 5, CPU, 4)
    rows_ESN = torch.stack([order.rows(epoch * 4).permute(1, 0, 2).flatten(1) for epoch in range(8)])
    plain = Order((0, 1), 20, 5, CPU)
    for epoch in range(8):  # the same examples in the same places as without views
        assert torch.equal(rows_ESN[epoch] % 20, plain.rows(epoch * 4).permute(1, 0, 2).flatten(1))
    for seed in range(2):
        counts = torch.bincount(rows_ESN[:, seed].flatten(), minlength=80)
        assert counts.tolist() == [2] * 80
        for first in range(5):  # in any four epochs in a row every view of every example once
            assert rows_ESN[first : first + 4, seed].flatten().unique().numel() == 80
    assert (rows_ESN[0, 0].sort().values // 20 != rows_ESN[0, 1].sort().values // 20).any()


def test_a_run_takes_the_rows_of_its_epoch_and_is_scored_on_examples_as_they_are(subject: Subject) -> None:
    """A head of one full batch, by hand: softmax regression on the rows that the order says."""
    runs = [
        replace(run, recipe=replace(run.recipe, batch_size=len(DATA.train), steps=3))
        for run in subject.runs()[:1]
    ]
    record = finished(subject, runs)
    network, data = subject.network(runs), subject.data_of(runs)
    assert data.views is not None
    views = data.views.load()
    start = {name: value.double().numpy() for name, value in network.initial(runs[0].seed).items()}
    weight, bias = start["head.output.weight"], start["head.output.bias"]
    order = Order((runs[0].seed,), len(DATA.train), len(DATA.train), CPU, 3)
    lr = runs[0].recipe.hypers["lr"]
    for step in range(3):
        rows = order.rows(step)[0, 0].numpy()
        x, y = views.x[rows].astype(np.float64), views.y[rows]
        logits = x @ weight.T + bias
        error = np.exp(logits - logits.max(1, keepdims=True))
        error = error / error.sum(1, keepdims=True) - np.eye(3)[y]
        weight, bias = weight - lr * error.T @ x / len(y), bias - lr * error.mean(0)
    np.testing.assert_allclose(record.weights["head.output.weight"][0], weight, rtol=1e-4, atol=1e-5)
    logits = data.train.x @ weight.T + bias
    loss = (np.log(np.exp(logits).sum(1)) - logits[np.arange(len(logits)), data.train.y]).mean()
    np.testing.assert_allclose(record.metrics["train_loss"][0], loss, rtol=1e-4)


def test_bits_of_a_run_depend_neither_on_others_nor_on_how_views_were_found(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    subject = subject_of(folder)
    runs = subject.runs()
    together = finished(subject, runs)
    assert subject.drawn.lines()[0].startswith("features of views: 1 set, 135 views, 0.0 MB, computed in")
    again = subject_of(folder)
    alone = finished(again, runs[-1:])
    row = together.runs.index(runs[-1].id)
    for name, array in alone.weights.items():
        assert array[0].tobytes() == together.weights[name][row].tobytes()
    assert again.drawn.lines() == ["features of views: 1 set, 135 views, 0.0 MB, from the cache"]


def test_other_strengths_are_other_views_and_train_apart(folder: Path) -> None:
    subject = subject_of(folder, augment={**AUGMENT, "crop": [0, 2]})
    groups = list(by_structure(subject.runs()))
    assert [len(group) for group in groups] == [4, 4]
    parts = {group[0].recipe.hypers.get("augment.crop", 0.0): subject.data_of(group) for group in groups}
    one, other = (parts[crop].views for crop in (0.0, 2.0))
    assert one is not None
    assert other is not None
    assert not np.array_equal(one.load().x, other.load().x)
    assert np.array_equal(parts[0.0].validation.x, parts[2.0].validation.x)


def test_whatever_views_depend_on_changes_their_key(folder: Path) -> None:
    def key(data: Dataset = DATA, **changes: Any) -> str:
        recipe = subject_of(folder, augment={**AUGMENT, **changes}).runs()[0].recipe
        drawing = Drawing.of(recipe)
        assert drawing is not None
        return key_hash(views_key(recipe.model, data, drawing, CPU))

    keys = [
        key(),
        key(views=4),
        key(flip=0.25),
        key(crop=1),
        key(rotate=5),
        key(fill="reflect"),
        key(replace(DATA, fingerprint="another part")),
    ]
    assert len(set(keys)) == len(keys)
    assert key(rotate=0, order="random") == keys[0]  # neither draws anything


REFUSED = [
    (
        {"augment": {"flip": 0.5}},
        r"^augment\.flip = 0\.5: a head learns from features .* write views = 8 in augment",
    ),
    (
        {"augment": {"flip": 0.5, "mixup": 0.2, "views": 4}},
        r"^augment\.views = 4: a view is drawn of one example, and",
    ),
    ({"augment": {"views": 4}}, r"^augment\.views = 4: nothing is drawn"),
    ({"augment": {"flip": 0.5, "views": 0}}, r"^augment\.views = 0: must be at least 1"),
    (
        {"batch_size": "full"},
        r"^batch_size = 'full': each epoch has other examples with augment\.views; give",
    ),
    (
        {"phases": [{"train": "head", "epochs": 1}, {"train": "all", "epochs": 1}], "augment": {"crop": 1}},
        r"^augment\.crop = 1\.0: a head learns from features",
    ),
    (
        {"phases": [{"train": "all", "epochs": 1}]},
        r"^augment\.views = 3: is for heads on a frozen network, and no phase trains a head alone",
    ),
]


@pytest.mark.parametrize(("changes", "words"), REFUSED, ids=lambda each: str(each)[:60])
def test_what_cannot_have_views_is_refused_in_a_line(
    changes: dict[str, Any], words: str, folder: Path
) -> None:
    with pytest.raises(StudyError, match=words):
        subject_of(folder, **changes).runs()


def test_runs_without_a_frozen_body_or_a_technique_are_the_runs_that_they_were(folder: Path) -> None:
    phases = [{"train": "head", "epochs": 1}, {"train": "all", "epochs": 1}]
    one, other = (
        subject_of(folder, phases=phases, augment={"flip": 0.5, "views": num}).runs()[0].recipe
        for num in (3, 4)
    )
    assert one.augment is None  # of the whole network, whose pictures are drawn anew in each epoch
    assert one.parent is not None
    assert one.parent.augment == {"views": 3}
    assert one.id != other.id
    assert one.structure == other.structure
    off = subject_of(folder, augment={"flip": [0.0, 0.5], "views": 3}).runs()
    bare = subject_of(folder, augment=None).runs()
    assert {run.id for run in bare} < {run.id for run in off}


def test_a_part_of_the_data_draws_views_of_its_own_examples(folder: Path) -> None:
    subject = subject_of(folder)
    part = {"per_class": 5, "draw": 1}
    runs = [replace(run, recipe=replace(run.recipe, part=part, batch_size=4)) for run in subject.runs()]
    data = subject.data_of(runs)
    assert data.views is not None
    assert len(data.views.load()) == 3 * len(data.train) == 36


def test_a_check_says_what_views_cost_and_computes_none(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    np.savez(folder / "few.npz", x=DATA.train.x, y=DATA.train.y)
    content = {
        "name": "s",
        "data": {"kind": "npz", "path": "few.npz"},
        "model": MODEL,
        "rules": ["adam"],
        "phases": [{"train": "head", "epochs": 2}, {"train": "all", "epochs": 1}],
        "batch_size": 16,
        "augment": {"flip": [0.3, 0.5], "views": 10},
    }
    assert problems(content, folder) == []
    checked = parse_study(content)
    (line,) = [each for each in remarks(checked, folder) if each.startswith("views:")]
    num = 2 * 10 * len(read_data(checked, folder).train)
    assert line.startswith(f"views: {num:,} views in 2 sets go through the frozen network once: about ")
    assert not list(tmp_path.glob("**/features/*.arrays"))


@pytest.mark.slow
def test_a_study_with_views_from_its_file_to_its_features(folder: Path, tmp_path: Path) -> None:
    np.savez(folder / "some.npz", x=DATA.train.x, y=DATA.train.y)
    (folder / "viewed.toml").write_text(STUDY, encoding="utf-8")
    ravine.run(folder / "viewed.toml", store=tmp_path, quiet=True)
    with ravine.Store(tmp_path) as store:
        runs = store.runs("viewed")
    assert {run.status for run in runs} == {"done"}
    assert len(runs) == 2 * 2 * 3  # arms, lrs, draws
    found = features(folder / "viewed.toml", quiet=True)
    labels = [f"file:small.safetensors, 4 views of flip 0.5, n = 5, draw {draw}" for draw in range(3)]
    assert list(found) == ["file:small.safetensors", *labels]
    assert all(each.hit for each in found.values())
    assert {found[label].num_examples for label in labels} == {4 * 12}
