"""`ravine features` says whether they were found, what they depend on, and what it took."""

from __future__ import annotations

import inspect
import json
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import small_backbone
from ravine.cached import Kept
from ravine.cli.main import main
from ravine.features.features import Features
from ravine.launch.problems import size_lines
from ravine.launch.subject import Subject
from ravine.report.features import lines
from ravine.study.cost import cost_lines
from ravine.study.load import parse_study
from small_backbone import Small, trained

STUDY = """
name = "few"
data = { kind = "npz", path = "few.npz" }
model = { kind = "backbone", weights = "file:small.safetensors", target = "small_net:Small" }
rules = ["adam"]
seeds = 1
phases = [{ train = "head", epochs = 1 }]
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "small_net.py").write_text(inspect.getsource(small_backbone), encoding="utf-8")
    torch.manual_seed(4)
    save_file(trained(Small()).state_dict(), tmp_path / "small.safetensors")
    draw = np.random.default_rng(0)
    np.savez(tmp_path / "few.npz", x=draw.normal(size=(60, 3, 8, 8)).astype(np.float32), y=np.arange(60) % 3)
    (tmp_path / "few.toml").write_text(STUDY, encoding="utf-8")
    return tmp_path / "few.toml"


def test_features_are_found_the_second_time_and_made_again_where_a_byte_is_wrong(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["features", str(study), "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert "file:small.safetensors: computed, 60 examples, 7 features each" in shown
    assert "model.weights = " in shown
    assert main(["features", str(study), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out).values()
    assert found["hit"] is True
    assert (found["width"], sum(found["examples"].values()), found["bytes"]) == (7, 60, 60 * 7 * 4)
    path = Path(found["path"])
    data = bytearray(path.read_bytes())
    data[-70] ^= 1
    path.write_bytes(data)
    assert main(["features", str(study), "--json"]) == 0
    (again,) = json.loads(capsys.readouterr().out).values()
    assert again["hit"] is False
    assert again["note"].endswith("it is damaged, so its features are made again")
    data[-70] ^= 1
    assert path.read_bytes() == bytes(data)
    assert again["key"] == found["key"]


def test_a_study_without_a_backbone_is_refused_in_a_line(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study.write_text(STUDY.replace('{ kind = "backbone"', '{ kind = "mlp" } #'), encoding="utf-8")
    assert main(["features", str(study)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "model: none is a backbone with weights, so nothing is frozen" in line


def test_what_was_fed_is_said_where_the_weights_have_another_size() -> None:
    x = {name: np.zeros((2, 3), np.float32) for name in ("train", "validation", "test")}
    key = {"model": {"input": {"size": [224, 224], "crop": 0.5}}}
    found = Features(arrays=x, key=key, hit=True, seconds=1.0, kept=Kept(), fed=(3, 64, 64))
    assert list(lines("net", found))[-2:] == [
        "    model.input.size = [64, 64], the size of the data; the weights' own is [224, 224]",
        "    model.input.crop = 0.5",
    ]


def test_a_check_says_how_many_runs_there_are_and_what_goes_through_the_network(
    study: Path,
) -> None:
    phases = """phases = [
    { train = "head", steps = 2, lr = 0.01 },
    { train = "match:last", steps = 3 },
    { train = "all", steps = 4 },
]
rules = [{ kind = "adam", lr = [0.01, 0.1] }]
seeds = 1
ladder = { per_class = [2, 5], draws = 2, arms = ["head", "all", "pixels"] }
"""
    text = study.read_text(encoding="utf-8").partition("rules")[0] + phases
    text = text.replace("small_net", "small_again")  # a module's name is taken once in a process
    (study.parent / "small_net.py").rename(study.parent / "small_again.py")
    read = parse_study(tomllib.loads(text), search=study.parent)
    subject = replace(Subject.of(read, search=study.parent), blank=True)
    runs = subject.runs()
    assert size_lines(read, runs) == [
        "18 runs, 6 of them of 3 phases; phase 1 of 3, head: 4 runs; 6 go on from them, which saves 4 steps; "
        "phase 2 of 3, match:last: 6 runs"
    ]
    # A part of 2 has 6 examples, one of 5 has 12, each a batch of its own; the latter have two configs. Four runs
    # of the arm "head" are those that others go on from.
    num = len(subject.data.test)
    assert cost_lines(read, runs, num) == [
        "ladder: 2, 5 per class, 2 draws each; not tuned below 5",
        f"6 runs of the whole network: training takes 240 examples through it, 80% of them at n = 5, and the test "
        f"{6 * num}",
        f"6 runs of its last blocks: training takes 180 examples through them, 80% of them at n = 5, and the test "
        f"{6 * num}",
        "6 runs on features, for which each example goes through the network once",
        "6 runs of other models, on the examples themselves",
    ]
