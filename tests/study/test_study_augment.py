"""Augmentation as a key of a study."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ravine.data import from_arrays, load, parse_data
from ravine.errors import StudyError
from ravine.study import Study, runs_of
from ravine.study.augment import pixel_scale
from ravine.study.changes import changes
from ravine.study.definition import definition_of
from ravine.study.expand import base_of
from ravine.study.load import content_of, parse_study
from ravine.study.longer import longer
from ravine.study.override import override
from ravine.study.problems import faults_of

BASE = {"name": "s", "data": "digits", "model": "mlp", "epochs": 2, "seeds": 1, "rules": ["adam"]}
ALL = {
    "flip": 0.5,
    "crop": {"pad": [0, 2], "fill": "reflect"},
    "cutout": {"linear": [0.1, 0.5], "num": 2},
    "mixup": [0.0, 0.2],
    "order": "random",
}


def made(augment: Any, **changes: Any) -> Study:
    return parse_study({**BASE, "augment": augment, **changes})


def test_each_strength_is_a_factor_and_off_is_the_run_without_the_key() -> None:
    data = load(parse_study(BASE).data)
    (plain,) = runs_of(parse_study(BASE), data)
    off, on = runs_of(made({"cutout": [0.0, 0.5], "cutout_fill": "black", "mixup": 0.0, "mix_p": 1.0}), data)
    assert off.id == plain.id
    assert (on.recipe.hypers["augment.cutout"], on.recipe.augment) == (0.5, {"cutout_fill": "black"})
    assert on.chosen == {"lr": 0.001, "augment.cutout": 0.5, "augment.mix_p": 1.0}
    with pytest.raises(StudyError, match=r"augment\.mix_p = 0\.5: has no meaning without mixup or cutmix"):
        made({"cutout": 0.5, "mix_p": 0.5})
    half = runs_of(made({"flip": [0.0, 0.5]}), data)
    assert len({run.recipe.structure for run in (plain, *half)}) == 1  # one program
    assert len(runs_of(made(ALL), data)) == 8
    assert runs_of(made({"mixup": 0.2, "mix_p": 0.0}), data)[0].recipe.hypers["augment.mix_p"] == 0.0


def test_an_option_is_the_run_s_only_where_it_matters() -> None:
    data = load(parse_study(BASE).data)
    options = {"fill": "mean", "order": "random", "draw": "batch", "fit": "inside", "cutout_fill": "black"}
    for strengths, expected in (
        ({"flip": 0.5, "brightness": 0.0}, None),
        ({"crop": 1}, {"fill": "mean"}),
        ({"brightness": 0.2}, {"order": "random"}),
        ({"mixup": 0.2}, {"draw": "batch"}),
        ({"cutout": 0.2}, {"fit": "inside", "cutout_fill": "black"}),
    ):
        (run,) = runs_of(made({**strengths, **options}), data)
        assert run.recipe.augment == expected
        assert type(run.recipe).of(run.recipe.content()) == run.recipe


def test_the_text_of_a_study_has_it() -> None:
    study = made(ALL)
    assert parse_study(content_of(definition_of(study))) == study
    assert replace(study, name="t").augment == study.augment
    assert "augment.crop 0, 2" in str(study).replace("\n", " ")


def test_the_command_line_sets_one_technique() -> None:
    study = parse_study(override(BASE, ["augment.cutout=0.5", "augment.crop.pad=2"]))
    assert study.factors["augment.cutout"] == 0.5
    assert study.factors["augment.crop"] == 2.0


def test_techniques_may_be_added_under_one_name_and_options_may_not_change() -> None:
    data = load(parse_study(BASE).data)
    plain, more = made({"crop": 2}), made({"crop": 2, "flip": 0.5})
    other = made({"crop": 2, "fill": "reflect"})
    assert base_of(plain, data) == base_of(more, data) == base_of(parse_study(BASE), data)
    assert base_of(other, data) != base_of(plain, data)
    said = changes(definition_of(plain), definition_of(other))
    assert said == ["augment.fill: 'black' -> 'reflect'"]


def test_a_longer_study_has_the_strengths_of_its_config() -> None:
    study = made(ALL)
    run = runs_of(study, load(study.data))[-1]
    found = longer(study, "adam", run.recipe.content(), [0], 2, "l", run.chosen)
    (same,) = runs_of(found, load(study.data))
    assert same.recipe.hypers == run.recipe.hypers
    assert same.recipe.augment == run.recipe.augment


REFUSED: list[tuple[Any, str]] = [
    ({"flipp": 1}, r"^augment\.flipp: unknown key; did you mean 'flip'"),
    ({"flip": 2}, r"^augment\.flip = 2: must be a number of at least 0 and at most 1"),
    ({"flip": True}, r"^augment\.flip = True: must be a number of at least 0 and at most 1, or a list"),
    ({"flip": [False, True]}, r"^augment\.flip\.0 = False: must be a number"),
    ({"flip": -0.5}, r"^augment\.flip = -0\.5: must be"),
    ({"rotate": [0, -5]}, r"^augment\.rotate\.1 = -5: must be"),
    ({"crop": {"pad": 2, "fil": "mean"}}, r"^augment\.crop\.fil: unknown key; did you mean 'fill'"),
    ({"order": "any"}, r"^augment\.order = 'any': allowed: fixed, random"),
    ({"cutout": {"linear": [0.1, 0.5]}}, r"^augment\.cutout\.num: missing"),
    (0.5, r"^augment = 0\.5: must be a table"),
]


@pytest.mark.parametrize(("augment", "words"), REFUSED, ids=str)
def test_what_no_study_can_have_is_refused(augment: Any, words: str) -> None:
    with pytest.raises(StudyError, match=words):
        made(augment)
    assert any(str(fault).startswith("augment") for fault in faults_of({**BASE, "augment": augment})[0])


MISFITS: list[tuple[Any, Any, str]] = [
    ("digits", {"crop": 8}, r"^augment\.crop = 8\.0: the padding must be smaller than the picture"),
    ("digits", {"hue": 0.1}, r"^augment\.hue = 0\.1: needs pictures of 3 channels"),
    ("iris", {"flip": 0.5}, r"^augment\.flip = 0\.5: is for pictures"),
    ("diabetes", {"cutmix": [0.0, 0.5]}, r"^augment\.cutmix = 0\.5: "),
    ("digits", {"noise": 0.1}, r"^augment\.noise = 0\.1: is for tables"),
    (
        {"kind": "digits", "normalize": "standard"},
        {"crop": 1},
        r"^augment\.crop = 1\.0: digits scales each pixel by a mean of its own",
    ),
]


@pytest.mark.parametrize(("data", "augment", "words"), MISFITS, ids=str)
def test_what_does_not_suit_the_data_is_refused(data: Any, augment: Any, words: str) -> None:
    study = made(augment, data=data)
    with pytest.raises(StudyError, match=words):
        runs_of(study, load(study.data))
    off = dict.fromkeys(augment, 0.0)
    assert runs_of(made(off, data=data), load(parse_data(data, "data")))


def test_colour_needs_pixels_from_0_to_1() -> None:
    draw = np.random.default_rng(0)
    y = np.arange(40) % 2
    for factor, normalize in ((2.0, "channel"), (2.0, "none"), (1.0, "channel")):
        x = (factor * draw.random((40, 3, 4, 4))).astype(np.float32)
        data = from_arrays(x, y, normalize=normalize)  # type: ignore[arg-type]
        study = Study(**{**BASE, "data": data, "augment": {"brightness": 0.2, "crop": 1}})  # type: ignore[arg-type]
        if factor == 1.0:
            assert runs_of(study, data)
            continue
        with pytest.raises(StudyError, match=r"^augment\.brightness = 0\.2: needs pixels in \[0, 1\]"):
            runs_of(study, data)


def test_neither_pictures_nor_rows_are_refused() -> None:
    data = from_arrays(np.random.default_rng(0).random((40, 5, 4)).astype(np.float32), np.arange(40) % 2)
    for augment in ({"mixup": 0.2}, {"noise": 0.1}, {"flip": 0.5}):
        study = Study(**{**BASE, "data": data, "augment": augment})  # type: ignore[arg-type]
        with pytest.raises(StudyError, match=r"an example here has shape \(5, 4\); leave it out"):
            runs_of(study, data)


@pytest.mark.parametrize("normalize", ["channel", "none"])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_a_scaling_is_known_in_pixels_from_0_to_1(normalize: Any, kind: type) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 3, 4, 4)).astype(np.uint8)
    x = pixels if kind is np.uint8 else pixels.astype(np.float32) / np.float32(255)
    data = from_arrays(x, np.arange(40) % 2, normalize=normalize, validation=0.2, test=0.2)
    scale = pixel_scale(data)
    assert scale is not None
    mean, deviation = (
        np.array(each or default)[..., None, None] for each, default in zip(scale, (0.0, 1.0), strict=True)
    )
    again = data.train.x * deviation + mean
    known = {row.tobytes() for row in pixels}
    assert all(np.rint(255 * row).astype(np.uint8).tobytes() in known for row in again)
