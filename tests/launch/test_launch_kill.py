"""kill -9 at any moment: the same command goes on, and ends where an undisturbed launch ends, bit by bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("seed", "num_kills", "num_steps", "kind"),
    [
        (0, 1, 1_000, "phases"),
        *(
            pytest.param(seed, 20, num_steps, kind, marks=pytest.mark.slow)
            for seed, num_steps, kind in (
                (0, 150_000, "plain"), (1, 150_000, "plain"), (2, 60_000, "phases"), (3, 150_000, "folds"),
            )
        ),
    ],
)  # fmt: skip
def test_killed_at_random_moments(
    seed: int, num_kills: int, num_steps: int, kind: str, tmp_path: Path
) -> None:
    script = Path(__file__).parent / "killing.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), *map(str, (seed, num_kills, num_steps, kind))],
        capture_output=True, text=True, timeout=400, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert told["kills"] == num_kills
    assert told["with_progress"] >= num_kills // 5, "the kills hit trainings that had begun"
    assert told["check"] == []
    assert len(told["peace"]) == 16
    assert told["killed"] == told["peace"]
