"""`ravine augment`: what it shows is what training sees."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_runs import CPU

from ravine.api.augmentation import seen
from ravine.cli.main import main
from ravine.engine.cohort import Cohort
from ravine.engine.training import Training
from ravine.errors import InputError
from ravine.launch.seen import Seen
from ravine.launch.subject import Subject
from ravine.report import seen_picture
from ravine.report.pixels import pixels
from ravine.report.png import png
from ravine.report.seen import answer_of, page
from ravine.report.seen_picture import picture
from ravine.study import Study

BASE: dict[str, Any] = {
    "name": "s",
    "data": "digits",
    "model": "mlp",
    "epochs": 3,
    "seeds": 1,
    "batch_size": 115,
}
AUGMENT = {"crop": 1, "rotate": [0, 15], "mixup": 0.4}
TEXT = """
name = "rows"
data = "wine"
model = "mlp"
epochs = 2
augment = { noise = [0.1, 0.5] }
rules = ["adam"]
"""


@pytest.fixture(scope="module")
def found() -> Seen:
    return seen(Study(**BASE, rules=["adam"], augment=AUGMENT), example=17, epochs=9)


def test_it_shows_the_bits_of_a_training_that_goes_on(found: Seen) -> None:
    study = Study(**BASE, rules=[{"kind": "adam", "lr": [0.01, 0.1]}], augment=AUGMENT)
    subject = Subject.of(study, device="cpu")
    runs = subject.runs()
    training = Training(Cohort.of(runs), subject.network(runs), subject.data, "native", CPU)
    augmenting = training.setting.augmenting
    assert augmenting is not None
    looks = {setting.words: setting.looks for setting in found.settings}
    assert [len(each) for each in looks.values()] == [3, 3]
    drawn = [each.x.tobytes() for looks_of in looks.values() for each in looks_of if each.x is not None]
    assert len(set(drawn)) == len(drawn)  # other draws in each epoch
    num_seen = 0
    for step in range(runs[0].recipe.steps):
        rows = training._order.rows(step)[0, 0]
        training.advance()
        at = (rows == 17).nonzero().flatten().tolist()
        for place in at:
            for run, group in zip(training.cohort.runs, augmenting.groups.of_run_R.tolist(), strict=True):
                angle = run.recipe.hypers.get("augment.rotate", 0.0)
                words = f"crop 1, rotate {angle:g}, mixup 0.4" if angle else "crop 1, mixup 0.4"
                one = looks[words][step // 9]
                assert one.x is not None
                np.testing.assert_array_equal(one.x, augmenting.room.x[0, group, place].numpy())
                y = augmenting.room.y[0, group, place].numpy()
                for name, weight in one.answer:
                    assert y[int(name)] == np.float32(weight)
                num_seen += 1
    assert num_seen == 4 * sum(each.x is not None for each in looks["crop 1, mixup 0.4"])


def test_a_share_is_that_of_the_answer(found: Seen) -> None:
    y = found.data.train.y
    for setting in found.settings:
        for one in setting.looks:
            if one.partner is None:
                continue
            assert one.share is not None
            own = dict(one.answer).get(found.answer, 0.0)
            assert y[17] == y[one.partner] or own == pytest.approx(one.share, abs=1e-6)


def test_a_picture_is_shown_as_the_data_have_it(found: Seen) -> None:
    shown = pixels(found.data, found.clean)
    ink = found.clean * found.data.known_preparation.inputs.scaling.deviation[0]
    ink = ink + found.data.known_preparation.inputs.scaling.mean[0]
    np.testing.assert_allclose(shown[..., 0], 255 * ink[0].clip(0, 1), atol=0.51)


def test_a_png_is_read_by_others() -> None:
    image = pytest.importorskip("PIL.Image")
    draw = np.random.default_rng(0)
    for channels in (1, 3):
        there = draw.integers(0, 256, (5, 7, channels)).astype(np.uint8)
        back = np.asarray(image.open(io.BytesIO(png(there))))
        np.testing.assert_array_equal(back.reshape(there.shape), there)


def test_a_letter_is_drawn_or_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("PIL.Image")
    font, drawable = seen_picture._font("digits …")
    assert (font.getname()[0], drawable("digits …")) == ("Aileron", "digits …")
    monkeypatch.setattr(seen_picture, "_FONTS", ("no such font.ttf",))
    assert seen_picture._font("mine ä")[1]("mine ä") == r"mine \xe4"


def test_the_page_has_a_picture_of_each_epoch_and_no_script(found: Seen) -> None:
    html = page(found, "ravine augment <b>.toml").decode()
    assert "<script" not in html
    assert "script-src &#39;none&#39;" in html
    shown = sum(each.x is not None for setting in found.settings for each in setting.looks)
    assert html.count("<img ") == shown + len(found.settings)
    assert "&lt;b&gt;.toml" in html
    assert re.search(r"λ 0\.\d\d, with \d+", html)
    assert picture(found).startswith(b"\x89PNG")


def test_a_table_is_printed_before_and_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)  # of pytest-xdist, whose terminal is narrow
    file = tmp_path / "rows.toml"
    file.write_text(TEXT)
    out = tmp_path / "rows.html"
    assert main(["augment", str(file), "--example", "3", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"rows: example 3 \(class_\d\) of wine, seed 0, 2 settings, 2 epochs", lines[0])
    assert any(line.startswith("as it is") for line in lines)
    assert sum(line.startswith("noise 0.") for line in lines) == 4
    assert lines[-1] == f"page: {out}"
    assert "as it is" in out.read_text()
    assert main(["augment", str(file), "--example", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    again = seen(file, example=3)
    assert np.array_equal(np.float32(told["x"]), again.clean)
    for setting, each in zip(told["settings"], again.settings, strict=True):
        for one, expected in zip(setting["epochs"], each.looks, strict=True):
            assert (one["x"] is None) == (expected.x is None)
            assert expected.x is None or np.array_equal(np.float32(one["x"]), expected.x)


def test_an_example_that_an_epoch_leaves_out_is_said_to_be() -> None:
    study = Study(**{**BASE, "batch_size": 600}, rules=["adam"], augment={"flip": 0.5})
    found = seen(study, example=5, epochs=3)
    (setting,) = found.settings
    assert len(setting.looks) == 3
    words = [answer_of(each) for each in setting.looks]
    assert all(
        (each.x is None) == (said == "left out") for each, said in zip(setting.looks, words, strict=True)
    )


def test_rules_that_search_and_full_batches_are_shown_too() -> None:
    study = Study(**{**BASE, "batch_size": "full"}, rules=[{"kind": "lbfgs", "lr": 1}], augment={"flip": 0.5})
    (setting,) = seen(study, example=5, epochs=3).settings
    assert all(each.x is not None for each in setting.looks)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"example": 10_000}, r"^example = 10000: must be a whole number from 0 to "),
        ({"seed": -1}, r"^seed = -1: must be a whole number"),
        ({"epochs": 0}, r"^epochs = 0: must be a whole number from 1 to 100"),
        ({"out": "a.svg"}, r"^--out a\.svg: must end in \.html or \.png"),
        ({"augment": {"flip": 0.0}}, r"^augment: no technique has a strength above 0"),
        ({"augment": None}, r"^augment: no technique has a strength above 0"),
    ],
    ids=str,
)
def test_mistakes_are_one_line(given: dict[str, Any], words: str) -> None:
    augment = given.pop("augment", AUGMENT)
    study = Study(**BASE, rules=["adam"], augment=augment)
    with pytest.raises(InputError, match=words):
        seen(study, **given)
