"""`ravine features` says whether they were found, what they depend on, and what it took."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import small_backbone
from ravine.cli.main import main
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
