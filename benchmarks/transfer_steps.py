"""Steps of networks that are trained whole, for `transfer.py`: fine-tuning, and denormal weights."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

SIDE, CLASSES = 96, 10


class FineTuning:
    """The step of a network that is trained whole, on pictures of 96 x 96.

    Args:
        network: "lite0" or "depthwise".
        batch: examples of a step.
        num_runs: that a study has; with fewer than threads, a run has several of them.
    """

    def __init__(self, network: str, batch: int, num_runs: int) -> None:
        from ravine import Study, from_arrays
        from ravine.engine.network import Network
        from ravine.engine.plan import plan
        from ravine.study import runs_of

        self.batch, self.steps, self.threads = batch, 4, torch.get_num_threads()
        draw = np.random.default_rng(0)
        x, y = draw.normal(size=(256, 3, SIDE, SIDE)).astype(np.float32), draw.integers(0, CLASSES, 256)
        self.x = torch.from_numpy(x).contiguous(memory_format=torch.channels_last)
        self.y = torch.from_numpy(y)
        model: Any = backbone() if network == "lite0" else depthwise
        length: Any = {"phases": [{"train": "all", "steps": 40}]} if network == "lite0" else {"steps": 40}
        self.study = Study(
            name="step", data=from_arrays(x, y, normalize="none"), model=model, batch_size=batch,
            seeds=num_runs, rules=[{"kind": "adam", "lr": 1e-4}], evaluations=1, **length,
        )  # fmt: skip
        data, self.cpu = self.study.data, torch.device("cpu")
        self.runs = list(runs_of(self.study, data))
        self.network = Network.of(self.study.model, data.input_shape, CLASSES, device=self.cpu)
        self.plan = plan(self.runs, self.network, data, self.cpu)
        self.module = self.network.make().to(memory_format=torch.channels_last).train()
        trained = [p for p in self.module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(trained, lr=1e-4, fused=True)

    def contenders(self) -> dict[str, Callable[[], float]]:
        """Seconds of a step of a run; the first is ours."""
        return {
            f"ravine, {self.plan.backend}": self.ours,
            f"eager PyTorch, channels last, {self.threads} threads": self.eager,
        }

    def ours(self) -> float:
        from ravine.engine.cohort import Cohort, split
        from ravine.engine.training import Training

        groups = split(self.runs, self.plan.size)
        trainings = [
            Training(Cohort.of(group), self.network, self.study.data, self.plan.backend, self.cpu)
            for group in groups
        ]
        took = 0.0
        for training in trainings:
            training.advance()
            with training._program.running():
                began = time.perf_counter()
                for _ in range(self.steps):
                    training.advance()
                took += time.perf_counter() - began
        return took / (self.steps * len(self.runs))

    def eager(self) -> float:
        self._step()
        began = time.perf_counter()
        for _ in range(self.steps):
            self._step()
        return (time.perf_counter() - began) / self.steps

    def _step(self) -> None:
        rows = torch.randperm(len(self.x))[: self.batch]
        loss = F.cross_entropy(self.module(self.x[rows]), self.y[rows])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()


class Denormal:
    """Steps of a small backbone whose weights are 1e-40, beside the same with ordinary ones.

    Args:
        backend: that trains it.
    """

    def __init__(self, backend: str) -> None:
        from ravine import Study, from_arrays
        from ravine.engine.network import Network
        from ravine.nn.spec import Backbone
        from ravine.study import runs_of

        draw = np.random.default_rng(0)
        x, y = draw.normal(size=(128, 3, 32, 32)).astype(np.float32), draw.integers(0, CLASSES, 128)
        here = Path(__file__).parent
        model = Backbone(target="transfer_steps:depthwise")
        self.backend, self.cpu = backend, torch.device("cpu")
        self.study = Study(
            name="tiny", data=from_arrays(x, y, normalize="none"), model=model, batch_size=32, seeds=1,
            rules=[{"kind": "sgd", "lr": 1e-30}], evaluations=1, phases=[{"train": "all", "steps": 60}],
        )  # fmt: skip
        self.runs = list(runs_of(self.study, self.study.data, here))
        self.network = Network.of(model, (3, 32, 32), CLASSES, device=self.cpu, search=here)

    def contenders(self) -> dict[str, Callable[[], float]]:
        """Seconds of a step; the first is of ordinary weights."""
        return {
            f"{self.backend}, ordinary weights": lambda: self.seconds(1.0),
            f"{self.backend}, weights times 1e-38": lambda: self.seconds(1e-38),
        }

    def seconds(self, factor: float) -> float:
        from ravine.engine.cohort import Cohort
        from ravine.engine.training import Training

        training = Training(Cohort.of(self.runs), self.network, self.study.data, self.backend, self.cpu)
        training.setting.state.params_RP.mul_(factor)
        training.advance()
        began = time.process_time()
        for _ in range(20):
            training.advance()
        return (time.process_time() - began) / 20


def backbone() -> Any:
    """EfficientNet-Lite0 with weights that are drawn: its times are those of the trained one."""
    from ravine.nn.spec import Backbone

    return Backbone(target="builtin:efficientnet-lite0")


def depthwise() -> nn.Module:
    """A small network of depthwise-separable convolutions."""
    layers: list[nn.Module] = [nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6()]
    for before, after, stride in ((32, 64, 2), (64, 128, 2), (128, 128, 1), (128, 256, 2)):
        layers += [
            nn.Conv2d(before, before, 3, stride, 1, groups=before, bias=False), nn.BatchNorm2d(before), nn.ReLU6(),
            nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU6(),
        ]  # fmt: skip
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, CLASSES))
