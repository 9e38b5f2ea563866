"""Several targets from the command line: a CSV with labels is learned, predicted, and refused where it is wrong."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from command_line import ravine

STUDY = """
name = "songs"
data = { kind = "csv", path = "songs.csv", target = "moods", separator = ";" }
model = { kind = "mlp", hidden = [4] }
epochs = 3
seeds = 2
rules = ["adam"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("targets")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2)).round(3)
    moods = [";".join(name for name, on in (("calm", a > 0), ("sad", b > 0)) if on) for a, b in x]
    with (path / "songs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["tempo", "key", "moods", "calm"])
        writer.writerows([a, b, mood, int("calm" in mood)] for (a, b), mood in zip(x, moods, strict=True))
    (path / "songs.toml").write_text(STUDY)
    done = ravine(path, "run", "songs.toml")
    assert done.returncode == 0, done.stderr
    assert "label accuracy" in done.stdout
    return path


def test_labels_are_predicted_as_one_text(folder: Path) -> None:
    done = ravine(folder, "predict", "songs", "songs.csv", "--out", "out.csv", "--probabilities")
    assert done.returncode == 0, done.stderr
    with (folder / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["prediction", "p_calm", "p_sad"]
    for row in rows:
        named = [name for name in ("calm", "sad") if float(row[f"p_{name}"]) > 0.5]
        assert row["prediction"] == ";".join(named)


def test_json_has_the_scores_of_the_trivial_predictor(folder: Path) -> None:
    done = ravine(folder, "show", "songs", "--json")
    assert json.loads(done.stdout)["trivial"]["name"] == "usual labels"


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ('data.target=["calm", "calm"]', "names column 'calm' twice"),
        ('data.target=["calm", "moods"]', "is for one column that names labels"),
        ('data.separator="|"', "no cell of target 'moods' has two labels with '|' between them"),
    ],
)
def test_a_wrong_target_is_one_line_and_exit_code_2(folder: Path, setting: str, told: str) -> None:
    done = ravine(folder, "run", "songs.toml", "--set", setting)
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
