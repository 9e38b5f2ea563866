"""A backbone in a study: its keys, what identifies it, what a check says, and runs of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small import forget, saved, small, study_folder

import ravine
from ravine.api.problems import remarks
from ravine.backbones.about import fed
from ravine.data.sheet import Sheet
from ravine.errors import InputError, ModelError
from ravine.forms import Refused
from ravine.launch.subject import Subject
from ravine.nn.spec import Backbone, Head
from ravine.store import Store
from ravine.study import parse_study
from ravine.study.definition import definition_of
from ravine.study.load import content_of
from ravine.study.model import parse_model, structure_of
from ravine.study.trust import distrusted

LITE0 = "builtin:efficientnet-lite0"
MODEL = {"kind": "backbone", "target": "net:Small", "weights": "file:w.safetensors"}
STUDY = {
    "name": "s",
    "data": {"kind": "npz", "path": "x.npz"},
    "model": MODEL,
    "seeds": 1,
    "phases": [{"train": "all", "steps": 3}],
    "batch_size": 8,
    "rules": [{"kind": "sgd", "lr": 0.1}],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = study_folder(tmp_path_factory.mktemp("study"))
    saved(found, small().state_dict())
    rng = np.random.default_rng(0)
    np.savez(found / "x.npz", x=rng.integers(0, 256, (60, 3, 8, 8), dtype=np.uint8), y=np.arange(60) % 3)
    yield found
    forget()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, 'needs weights, such as "builtin:efficientnet-lite0", or a target of one\'s own, such as "net:Small"'),
        ({"weights": "builtin:efficientnet-lite1"}, "llowed: builtin:efficientnet-lite0"),
        ({"weights": "x.safetensors"}, 'must be "builtin:efficientnet-lite0", "file:PATH.safetensors", "timm:NAME"'),
        ({"weights": "file:x.pth"}, "must be a .safetensors file: others may contain code"),
        ({"weights": "file:"}, 'must be "builtin:'),
        ({"weights": 3}, 'must be "builtin:'),
        ({"weights": "random:x"}, 'must have a number that draws them, such as "random:0"'),
        ({"weights": "hf:a/vit"}, 'must name a revision, "hf:a/vit@REVISION"; for a folder write "hf:./a/vit"'),
        ({"weights": LITE0, "target": "net:Small"}, "target cannot be given beside weights"),
        ({"weights": LITE0, "args": {"width": 3}}, "args are those of a target or of timm's"),
        ({"weights": LITE0, "norm": "freeze"}, "norm = 'freeze': allowed: adapt, affine, frozen"),
        ({"weights": LITE0, "cut": ""}, "must not be empty"),
        ({"weights": LITE0, "head": {"hiden": [3]}}, "head.hiden: unknown key; did you mean 'hidden'?"),
        ({"weights": LITE0, "input": {"std": [0.0]}}, "must be at least 1e-06"),
        ({"weights": LITE0, "input": {"std": [0.2, 0.2]}}, "std = [0.2, 0.2]: must have one number for all"),
        ({"weights": LITE0, "input": {"range": [1.0, 0.0]}}, "range = [1.0, 0.0]: must have the smaller"),
        ({"weights": LITE0, "input": {"channels": "gbr"}}, "did you mean 'bgr'?"),
        ({"weights": LITE0, "input": {"mean": []}}, "mean = []: must have one number for all channels, or three"),
        ({"target": "net"}, 'must be "package.module:Name"'),
    ],
)  # fmt: skip
def test_keys_that_are_wrong(keys, words):
    with pytest.raises(InputError) as raised:
        parse_model({"kind": "backbone", **keys})
    assert words in str(raised.value)
    assert str(raised.value).startswith("model")
    with pytest.raises(Refused):
        Backbone(**keys)


def test_the_dropout_of_the_head_is_a_rate_of_the_runs():
    model, rates = parse_model({**MODEL, "head": {"hidden": [4], "dropout": [0.0, 0.2]}})
    assert (model.head, rates) == (Head(hidden=(4,)), {"dropout": (0.0, 0.2)})
    assert parse_model(model.but(head={"dropout": 0.5})) == (model.but(head={}), {"dropout": 0.5})
    with pytest.raises(
        InputError, match=r"^model\.head\.dropout = 1\.5: must be a number of at least 0 and below 1"
    ):
        parse_model({**MODEL, "head": {"dropout": 1.5}})
    study = parse_study({**STUDY, "model": {**MODEL, "head": {"hidden": [4], "dropout": [0.0, 0.2]}}})
    assert study.factors["model.dropout"] == (0.0, 0.2)
    assert content_of(definition_of(study))["model"] == {
        **MODEL,
        "head": {"hidden": [4]},
        "rates": {"dropout": [0.0, 0.2]},
    }


def test_what_identifies_a_backbone_has_no_path_and_no_name_of_a_file(folder, tmp_path):
    spec = Backbone(**{key: value for key, value in MODEL.items() if key != "kind"})
    found = structure_of(spec, folder)
    assert str(folder) not in repr(found)
    assert "w.safetensors" not in repr(found)
    saved(
        folder, {f"module.{k}": v for k, v in small().state_dict().items()}, "elsewhere.safetensors", by="me"
    )
    assert structure_of(spec.but(weights="file:elsewhere.safetensors"), folder) == found
    others = [
        spec.but(weights=None),
        spec.but(cut="fc"),
        spec.but(head={"hidden": [3]}),
        spec.but(norm="affine"),
        spec.but(input={"mean": [0.5]}),
        spec.but(input={"mean": [0.5], "channels": "bgr"}),
        spec.but(args={"rate": 0.1}),
        spec.but(weights=f"file:{saved(tmp_path, small(1).state_dict())}"),
    ]
    ids = [repr(structure_of(each, folder)) for each in (spec, *others)]
    assert len(set(ids)) == len(ids)


def test_a_store_names_no_file_that_is_read(folder):
    study = distrusted(parse_study(STUDY))
    with pytest.raises(ModelError, match="ravine reads no file that only a store names"):
        structure_of(study.model.but(target=None).trusting(None), folder)
    with pytest.raises(ModelError, match="ravine runs no code that only a store names"):
        structure_of(study.model, folder)


def _written(folder, content):
    file = folder / "s.toml"
    file.write_text(definition_of(parse_study(content)))
    return file


def test_a_check_says_parts_cut_and_pixels(folder):
    lines = remarks(_written(folder, {**STUDY, "model": {**MODEL, "input": {"mean": [0.5], "std": [0.25]}}}))
    assert lines == [
        "1 run",
        "backbone: 420 parameters in 2 blocks (from:0 to from:1), weights of file:w.safetensors, BatchNorms frozen",
        "head: 8 -> 3, 27 parameters, in the place of 'fc', the last linear layer; cut = says another",
        "pictures: scaled to cover 8 x 8 (bicubic, antialiased), RGB, (v/255 - 0.5) / 0.25: -2 to 2",
    ]
    saved(
        folder,
        {k: v.half() if v.dtype == torch.float32 else v for k, v in small().state_dict().items()},
        "h.safetensors",
    )
    lines = remarks(_written(folder, {**STUDY, "model": {**MODEL, "weights": "file:h.safetensors"}}))
    assert lines[3].startswith("pictures: nothing is known of how this network wants them")
    assert lines[4:] == ["! 12 tensors of h.safetensors: float16, read as float32"]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Sheet(mean=(0.0,) * 3, std=(1.0,) * 3, high=255.0), "RGB, 0 + v/255 255: 0 to 255"),
        (Sheet(mean=(0.1, 0.2, 0.3), std=(1.0,) * 3, channels="bgr"), "BGR, (v/255 - [0.1, 0.2, 0.3]) / 1: -0.3 to"),
        (Sheet(resize="squash", interpolation="bilinear"), "squashed to 20 x 30 (bilinear, antialiased), RGB"),
    ],
)  # fmt: skip
def test_a_sheet_in_a_line(found, words):
    assert words in fed(found, (3, 20, 30))


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """What runs start and end with, by norm."""
    content = {**STUDY, "model": {**MODEL, "norm": ["frozen", "affine", "adapt"], "args": [{"rate": 0.0}]}}
    store = tmp_path_factory.mktemp("store")
    ravine.run(_written(folder, content), store=store, quiet=True)
    subject = Subject.of(parse_study(content), search=folder)
    with Store(store) as opened:
        return {
            run.recipe.model["norm"]: (subject.network([run]).initial(0), opened.tensors("weights", run.id))
            for run in subject.runs()
        }


@pytest.mark.slow
def test_trained_runs_keep_frozen_norms_to_the_bit(trained):
    for norm, moves in (
        ("frozen", set()),
        ("affine", {"weight", "bias"}),
        ("adapt", {"weight", "bias", "running_mean", "running_var"}),
    ):
        start, end = trained[norm]
        for name, before in start.items():
            if ".bn" in name and "num_batches" not in name and name in end:
                same = np.array_equal(before.numpy(), end[name])
                assert same is (name.rpartition(".")[2] not in moves), (norm, name)
        assert not np.array_equal(start["body.conv1.weight"].numpy(), end["body.conv1.weight"])
        assert not np.array_equal(start["head.output.weight"].numpy(), end["head.output.weight"])


def test_labels_and_variants_of_backbones():
    def parts(model, **keys):
        study = parse_study({**STUDY, "model": model, **keys})
        return [(*part.chosen.values(), part.model, dict(part.study.rates)) for part in study.parts]

    small = {"kind": "backbone", "target": "net:Small"}
    heads = parts({**small, "head": [{"hidden": []}, {"hidden": [8], "dropout": 0.1}]})
    assert [label for label, *_ in heads] == ["Small head hidden none", "Small head hidden 8"]
    assert heads[1][2] == {"dropout": 0.1}
    changed = parts(
        {**small, "head": {"hidden": [4], "dropout": 0.1}},
        variants=[
            {"label": "norm", "model": {"norm": "adapt"}},
            {"label": "dropout", "model": {"head": {"dropout": 0.3}}},
            {"label": "width", "model": {"head": {"hidden": [5]}}},
        ],
    )
    assert [(model.norm, model.head.hidden, rates["dropout"]) for _, model, rates in changed] == [
        ("adapt", (4,), 0.1), ("frozen", (4,), 0.3), ("frozen", (5,), 0.1),
    ]  # fmt: skip
    for named in ({"target": "net:Other"}, {"weights": "file:x.safetensors"}):
        with pytest.raises(InputError, match="a variant cannot name a module or a file"):
            parts("mlp", variants=[{}, {"label": "a", "model": {"kind": "backbone", **named}}])
    with pytest.raises(InputError, match=r"^model\.dropout: unknown key; it is the head's, head = "):
        parts({**small, "dropout": 0.1})


def test_a_variant_of_what_is_not_trusted_is_not_trusted_either():
    study = distrusted(
        parse_study(
            {
                **STUDY,
                "variants": [{"label": "a", "model": {"norm": "adapt"}}, {"label": "b", "batch_size": 4}],
            }
        )
    )
    assert [part.model.trust for part in study.parts] == [None, None]
