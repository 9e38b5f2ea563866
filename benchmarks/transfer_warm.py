"""How long a second `ravine run` takes until it trains, for `transfer.py`: in a process of its own each time."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

SIDE, CLASSES, EACH = 64, 4, 30
STUDY = """name = "warm"
data = {{ kind = "images", path = "pictures", size = {side} }}
seeds = 2
batch_size = 32
evaluations = 1
model = {{ kind = "backbone", target = "builtin:efficientnet-lite0" }}
rules = [{{ kind = "adamw", lr = {lr} }}]
phases = [{{ train = "all", steps = 2 }}]
"""
# Training itself begins where its records are asked for: whatever is tried before belongs to the planning.
CHILD = """import sys, time
from ravine.cli import entry
from ravine.engine.training import Training
records = Training.records
def begin(self, *given, **named):
    print("begins", time.time(), flush=True)
    return records(self, *given, **named)
Training.records = begin
sys.argv = ["ravine", "run", *sys.argv[1:]]
entry()
"""


class Warm:
    """A study of a fine-tuned EfficientNet-Lite0 that was run before with another learning rate.

    Its store, its pictures and the cache are in a temporary folder.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.folder, self.lr = Path(self._folder.name), 1e-4
        pictures(self.folder / "pictures")
        self.cold = self.until_training()

    def contenders(self) -> dict[str, Callable[[], float]]:
        """Seconds until training begins, beyond those for PyTorch; and these."""
        return {
            "ravine run": lambda: self.until_training() - self.importing(),
            "import torch": self.importing,
        }

    def until_training(self) -> float:
        """From the start of the process to the first training step, with a learning rate that is new."""
        self.lr *= 1.01
        (self.folder / "warm.toml").write_text(STUDY.format(side=SIDE, lr=self.lr))
        began = time.time()
        done = self._python(CHILD, "warm.toml", "--store", "runs", "--device", "cpu")
        return float(done.split("begins")[1].split()[0]) - began

    def importing(self) -> float:
        """Of PyTorch, in a process of its own, with the start of Python."""
        began = time.time()
        self._python("import torch")
        return time.time() - began

    def _python(self, code: str, *given: str) -> str:
        environment = {
            **os.environ,
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "PYTHONPYCACHEPREFIX": str(
                self.folder / "bytecode"
            ),  # compiled by the first run, as by an installation
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        command = [sys.executable, "-c", code, *given]
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr


def pictures(folder: Path) -> None:
    """Some for training, and some for testing, of four classes."""
    from PIL import Image

    draw = np.random.default_rng(0)
    for split in ("train", "test"):
        for number in range(CLASSES):
            own = folder / split / f"class{number}"
            own.mkdir(parents=True)
            for i in range(EACH):
                pixels = draw.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(own / f"{i}.png")
