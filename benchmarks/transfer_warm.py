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
CHILD = Path(__file__).with_name("transfer_warm_child.py")
IMPORT = """import os, time
import torch
spent = os.times()
print("begins", time.time(), spent.user + spent.system)
"""
CLOCKS = ("wall clock", "processor time")


class Warm:
    """A study of a fine-tuned EfficientNet-Lite0 that was run before with another learning rate.

    Its store, its pictures and the cache are in a temporary folder.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.folder, self.lr = Path(self._folder.name), 1e-4
        pictures(self.folder / "pictures")
        self.cold = self.until_training()[0]

    def contenders(self, clock: str) -> dict[str, Callable[[], float]]:
        """Seconds until training begins, and those for PyTorch.

        Args:
            clock: one of `CLOCKS`.
        """
        number = CLOCKS.index(clock)
        return {
            "ravine run": lambda: self.until_training()[number],
            "import torch": lambda: self._python("-c", IMPORT)[number],
        }

    def until_training(self) -> tuple[float, float]:
        """From the process's start to the first training step, with a learning rate that is new, by both clocks."""
        self.lr *= 1.01
        (self.folder / "warm.toml").write_text(STUDY.format(side=SIDE, lr=self.lr))
        return self._python(str(CHILD), "warm.toml", "--store", "runs", "--device", "cpu")

    def _python(self, *given: str) -> tuple[float, float]:
        environment = {
            **os.environ,
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "PYTHONPYCACHEPREFIX": str(
                self.folder / "bytecode"
            ),  # compiled by the first run, as by an installation
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        began = time.time()
        done = subprocess.run(
            [sys.executable, *given],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        moment, spent = done.stdout.split("begins")[1].split()[:2]
        return float(moment) - began, float(spent)


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
