"""Killed at any moment, the store opens and holds all that was finished, and nothing half done."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

TORTURE = Path(__file__).with_name("torture.py")


@pytest.mark.parametrize("num_kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_kills_at_random_moments(num_kills: int, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, str(TORTURE), str(tmp_path / "runs"), "20261124", str(num_kills)],
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert ran.returncode == 0, ran.stderr
    summary = json.loads(ran.stdout)
    # Otherwise nothing was put to the test.
    assert summary["finished"] > 0
    assert max(summary["steps"]) > 0, "never killed between a checkpoint and the end"
