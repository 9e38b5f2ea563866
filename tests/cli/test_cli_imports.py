"""What a command that trains nothing must not import: PyTorch and its like, and what only other commands need."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import ravine

HEAVY = ("torch", "sklearn", "scipy", "pyarrow", "plotly", "llvmlite", "PIL", "pandas")
NEEDLESS = (
    "pydantic",
    "jinja2",
    "numpy.ma",
    "rich.progress",
    "rich._emoji_codes",
    "ravine.launch.launch",
    "ravine.landscapes.findings",
)
STUDY = """
name = "small"
data = "iris"
model = { kind = "mlp", hidden = [4] }
steps = 6
seeds = 1
schedule = ["constant", "cosine"]
tune = "staged"
keep = { every = 3 }
[[rules]]
kind = "sgd"
lr = [0.01, 0.1]
"""
COMMANDS = (
    ("run", "small.toml"),
    ("run", "small.toml", "--json", "--device", "cpu", "--backend", "native"),
    ("show", "small"),
    ("list",),
    ("report", "small", "--out", "page.html"),
    ("compare", "small", "--store", "runs", "--store", "copy"),
    ("check",),
    ("delete", "small", "--dry-run"),
)
CODE = """
import json, sys
from ravine.cli import main
commands, heavy = json.loads(sys.argv[1]), json.loads(sys.argv[2])
for words in commands:
    assert main(words) == 0, words
    assert not set(heavy) & set(sys.modules), (words, set(heavy) & set(sys.modules))
"""


def test_a_command_with_nothing_to_train_imports_no_heavy_library(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(STUDY)
    assert ravine(tmp_path, "run", "small.toml", "--quiet").returncode == 0
    shutil.copytree(tmp_path / "runs", tmp_path / "copy")
    command = [sys.executable, "-c", CODE, json.dumps(COMMANDS), json.dumps([*HEAVY, *NEEDLESS])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "known already" in done.stderr


@pytest.mark.slow
def test_an_ensemble_needs_pytorch_only_where_weights_were_kept(tmp_path: Path) -> None:
    """LLVM is for greedy selection."""
    (tmp_path / "small.toml").write_text(STUDY.replace("keep = { every = 3 }\n", ""))
    assert ravine(tmp_path, "run", "small.toml", "--quiet").returncode == 0
    heavy = [each for each in (*HEAVY, *NEEDLESS) if each != "llvmlite"]
    command = [sys.executable, "-c", CODE, json.dumps([("ensemble", "small")]), json.dumps(heavy)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
