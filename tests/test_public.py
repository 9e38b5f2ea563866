"""The public face: its names, its README."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import ravine

ROOT = Path(__file__).parents[1]


def test_the_public_names_are_these() -> None:
    assert ravine.__all__ == [
        "DataError",
        "Dataset",
        "InputError",
        "ModelError",
        "RavineError",
        "Results",
        "Store",
        "StoreError",
        "Study",
        "StudyError",
        "from_arrays",
        "from_torch_dataset",
        "landscape",
        "lr_range",
        "optim",
        "replay",
        "results",
        "run",
        "sharpness",
        "surface",
    ]
    for name in ravine.__all__:
        assert getattr(ravine, name).__doc__


def test_importing_ravine_is_cheap() -> None:
    code = "import sys, ravine; assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def blocks(language: str) -> list[str]:
    """The fenced blocks of the README in one language."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE
    )


def test_the_readmes_study_is_the_demo() -> None:
    (study,) = blocks("toml")
    demo = (ROOT / "examples" / "digits.toml").read_text()
    assert [line for line in study.splitlines() if line] == [
        line for line in demo.splitlines() if line and not line.startswith("#")
    ]


def test_the_readmes_python_runs(tmp_path: Path) -> None:
    (code,) = blocks("python")
    (tmp_path / "wine.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "wine.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "test accuracy" in done.stdout
