"""The study key `test_time`: what it asks for, and what is refused in one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ravine.errors import InputError
from ravine.study import Study, definition_of
from ravine.study.modes import Mode, parse_test_time
from ravine.study.stored import parse_definition
from ravine.study.views import View, check_views, parse_views

BASE: dict[str, Any] = {"name": "s", "data": "iris", "model": "mlp", "steps": 5, "rules": ["adam"]}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"modes": ["mc"], "samples": 0}, "test_time.samples = 0: must be a whole number from 1 to 10,000"),
        ({"modes": ["mc"], "samples": 2.5}, "test_time.samples = 2.5: must be a whole number"),
        ({"modes": "mcc"}, "test_time.modes = 'mcc': did you mean 'mc'"),
        ({"modes": []}, 'test_time.modes = []: must be "mean", "mc" or both'),
        ({"sample": 5}, "test_time.sample: unknown key; did you mean 'samples'"),
        ({"samples": 5}, "test_time.samples: only mc draws"),
        ({"modes": ["mean"]}, "test_time: only the mean pass"),
        ({"modes": ["mc"], "draw": "row"}, "test_time.draw = 'row'"),
        ({"modes": ["mc"], "judge": "views"}, "test_time.judge = 'views': allowed: mc, mean"),
        ({"views": "flip"}, "test_time.views = 'flip': must be \"flips\""),
        ({"views": []}, "test_time.views = []: must be"),
        (
            {"views": ["identity", "identity"]},
            "test_time.views.1 = 'identity': is the same view as test_time.views.0",
        ),
        ({"views": [{"shift": [1]}]}, "test_time.views.0.shift = [1]: must be two whole numbers"),
        ({"views": [{"move": [1, 0]}]}, "test_time.views.0.move: unknown key"),
        ({"views": {"crops": 0}}, "test_time.views.crops = 0: must be a whole number of pixels"),
        (5, "test_time = 5: must be a table"),
    ],
)
def test_what_is_not_allowed_is_one_line(value: Any, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_test_time(value)
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)


def test_a_staged_study_is_judged_by_the_mean_pass() -> None:
    asked = {"modes": ["mc"], "judge": "mc"}
    with pytest.raises(
        InputError, match=r"test_time.judge = 'mc': tune = \"staged\" chooses by the mean pass"
    ):
        Study(**BASE, schedule=["constant", "cosine"], tune="staged", test_time=asked)


def test_a_text_of_the_study_has_it_and_is_read_again() -> None:
    asked = {"modes": ["mean", "mc"], "samples": 20, "draw": "batch", "views": "crops", "judge": "mc+views"}
    study = Study(**BASE, test_time=asked)
    again = parse_definition(definition_of(study))
    assert again.test_time == study.test_time
    assert [mode.name for mode in study.test_time.asked] == ["mc", "mean+views", "mc+views"]  # type: ignore[union-attr]


def test_a_mode_is_named_by_all_that_its_predictions_depend_on() -> None:
    flips, crops = parse_views("flips"), parse_views("crops")
    modes = [
        Mode(samples=50),
        Mode(samples=100),
        Mode(samples=50, draw="batch"),
        Mode(samples=50, views=flips),
        Mode(views=flips),
        Mode(views=crops),
    ]
    assert len({mode.id for mode in modes}) == len(modes)


def test_views_move_pixels_and_mirror_what_comes_in() -> None:
    x = np.arange(12.0).reshape(1, 1, 3, 4)
    padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (3, 3)), mode="reflect")
    for down, right in ((0, 0), (1, 0), (-2, 3), (2, -1)):
        moved = padded[:, :, 2 - down : 5 - down, 3 - right : 7 - right]
        assert np.array_equal(View(down=down, right=right).of(x), moved)
        assert np.array_equal(View(down=down, right=right, flip=True).of(x), moved[..., ::-1])
    assert [view.content for view in parse_views("crops")] == [
        "identity", {"shift": [-1, -1]}, {"shift": [-1, 1]}, {"shift": [1, -1]}, {"shift": [1, 1]},
    ]  # fmt: skip


def test_views_of_a_table_and_beyond_a_picture_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"test_time\.views: only pictures have views; .* a vector of 4 numbers"
    ):
        check_views(parse_views("flips"), (4,), "test_time.views")
    with pytest.raises(
        InputError, match=r"a shift of \[-8, -8\] leaves a picture of 8 x 8 pixels; at most 7 down"
    ):
        check_views(parse_views({"crops": 8}), (1, 8, 8), "test_time.views")
    check_views(parse_views({"crops": 7}), (1, 8, 8), "test_time.views")
