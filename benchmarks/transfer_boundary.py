"""An epoch of the last blocks on cached activations, beside the same through the whole network, for `transfer.py`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

SIDE, CLASSES, BATCH, PICTURES = 96, 10, 32, 256


class Boundary:
    """An epoch of EfficientNet-Lite0 from some block on, on pictures of 96 x 96, norms frozen, Adam.

    Args:
        train: which blocks: "from:12" are those with 192 channels and what follows, "from:16" the one with 320.
    """

    def __init__(self, train: str) -> None:
        from safetensors.torch import save_file

        from ravine import Study, from_arrays
        from ravine.backbones.lite0 import EfficientNetLite0
        from ravine.launch.subject import Subject

        draw = np.random.default_rng(0)
        x = draw.integers(0, 256, (PICTURES + 64, 3, SIDE, SIDE), np.uint8)
        y = draw.integers(0, CLASSES, len(x))
        self.folder = tempfile.TemporaryDirectory()
        torch.manual_seed(0)
        save_file(EfficientNetLite0().state_dict(), Path(self.folder.name) / "drawn.safetensors")
        data = from_arrays(
            x[:PICTURES], y[:PICTURES], x_validation=x[PICTURES:], y_validation=y[PICTURES:],
            x_test=x[PICTURES:], y_test=y[PICTURES:],
        )  # fmt: skip
        study = Study(
            name="boundary", data=data, model={
                "kind": "backbone", "weights": "file:drawn.safetensors", "input": {"size": SIDE, "crop": 1.0},
            },
            batch_size=BATCH, seeds=1, rules=[{"kind": "adam", "lr": 1e-4}], evaluations=1,
            phases=[{"train": train, "epochs": 1}],
        )  # fmt: skip
        self.subject = Subject.of(study, search=Path(self.folder.name), device="cpu")
        self.run = self.subject.runs()[0]
        model = {key: value for key, value in self.run.recipe.model.items() if key != "activations"}
        self.through = replace(self.run, recipe=replace(self.run.recipe, model=model))
        self.whole = replace(self.run, recipe=replace(self.run.recipe, model=model, train="all"))

    def contenders(self) -> dict[str, Callable[[], float]]:
        """Seconds of a processor that an epoch takes; the first is ours."""
        return {
            "on activations": lambda: self.seconds(self.run),
            "through the whole network": lambda: self.seconds(self.through),
            "all of it trained": lambda: self.seconds(self.whole),
        }

    def seconds(self, run: object) -> float:
        from ravine.engine.cohort import Cohort
        from ravine.engine.plan import plan
        from ravine.engine.training import Training
        from ravine.study import Run

        assert isinstance(run, Run), "a run of the study"
        network, data = self.subject.network([run]), self.subject.data_of([run])
        chosen = plan([run], network, data, self.subject.device)
        training = Training(Cohort.of([run]), network, data, chosen.backend, self.subject.device)
        training.advance()  # what is made once
        num = run.recipe.steps - 1
        with training._program.running():
            began = time.process_time()
            for _ in range(num):
                training.advance()
            return (time.process_time() - began) * run.recipe.steps / num
