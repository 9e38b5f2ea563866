"""All heads at once on features that were computed before, and what else one would do, for `transfer.py`."""

from __future__ import annotations

import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

NUM, WIDTH, CLASSES, HELD_OUT = 10_000, 1280, 10, 1000
SEEDS, HEADS = 5, 100
CS, MOST = (0.01, 0.1, 1.0), 1000  # values of C, and iterations at most
RULES = (
    ("sgd", (0.003, 0.01, 0.03, 0.1, 0.3)),
    ("momentum", (0.0003, 0.001, 0.003, 0.01, 0.03)),
    ("adam", (1e-5, 1e-4, 3e-4, 1e-3, 3e-3)),
    ("adamw", (1e-5, 1e-4, 3e-4, 1e-3, 3e-3)),
)

Arrays = dict[str, np.ndarray]


@cache
def made_up() -> Arrays:
    """Features as a network's last layer gives them, standardized: ten clusters in 64 dimensions, mixed, rectified."""
    draw = np.random.default_rng(0)
    centers, mix = 0.45 * draw.normal(size=(CLASSES, 64)), draw.normal(size=(64, WIDTH)) / 8
    found: Arrays = {}
    for name, num in (("train", NUM), ("validation", HELD_OUT), ("test", HELD_OUT)):
        y = draw.integers(0, CLASSES, num)
        hidden = (centers[y] + draw.normal(size=(num, 64))) @ mix + 0.5 * draw.normal(size=(num, WIDTH))
        found[name], found[f"{name}_y"] = np.maximum(hidden, 0), y
    mean, scale = found["train"].mean(0), found["train"].std(0)
    for name in ("train", "validation", "test"):
        found[name] = ((found[name] - mean) / scale).astype(np.float32)
    return found


@cache
def of_pictures(folder: str) -> Arrays:
    """What EfficientNet-Lite0 makes of pictures scaled to 64 px, as heads learn from it; split like `made_up`."""
    from ravine import Study
    from ravine.features.features import Features
    from ravine.launch.subject import Subject
    from ravine.nn.standard import moments, standardized

    study = Study(
        name="pictures", data={"kind": "images", "path": folder, "size": 64}, seeds=1,
        model={"kind": "backbone", "weights": "builtin:efficientnet-lite0"}, rules=[{"kind": "sgd", "lr": 0.1}],
        phases=[{"train": "head", "epochs": 1}],
    )  # fmt: skip
    subject = Subject.of(study, search=Path.cwd(), device="cpu")
    [(_, events)] = subject.all_features()
    *_, computed = events
    assert isinstance(computed, Features), "they come last"
    data = computed.data(subject.data)
    x, y = (
        np.concatenate(pair)
        for pair in zip(*((s.x, s.y) for s in (data.train, data.validation)), strict=True)
    )
    assert x.shape == (NUM, WIDTH), f"{NUM:,} training pictures, and not {len(x):,}"
    mean, deviation = moments(x)
    parts = {"train": (x, y)}
    mixed = np.random.default_rng(0).permutation(len(data.test.y))
    for name, rows in (("validation", mixed[:HELD_OUT]), ("test", mixed[HELD_OUT : 2 * HELD_OUT])):
        parts[name] = data.test.x[rows], data.test.y[rows]
    found = {name: standardized(x, mean, deviation) for name, (x, _) in parts.items()}
    return {**found, **{f"{name}_y": y for name, (_, y) in parts.items()}}


class Heads:
    """100 heads on features that were computed before.

    Args:
        batch: examples of a step.
        epochs: of every head.
        arrays: features and classes; see `made_up`.
    """

    def __init__(self, batch: int, epochs: int, arrays: Arrays) -> None:
        self.batch, self.epochs, self.arrays = batch, epochs, arrays
        self.x, self.y = (torch.from_numpy(arrays[name]) for name in ("train", "train_y"))
        self.steps = epochs * (NUM // batch)

    def contenders(self) -> dict[str, Callable[[], float]]:
        """Seconds of each for all heads; the first is ours."""
        return {
            "ravine.run": self.ours,
            f"scikit-learn, C = {', '.join(f'{c:g}' for c in CS)}": self.convex,
            "ModuleDict of 100 heads": self.together,
            "PyTorch loop per head": self.alone,
            "the same, frozen network inside": self.with_network,
        }

    def ours(self) -> float:
        import ravine

        arrays = self.arrays
        data = ravine.from_arrays(
            arrays["train"], arrays["train_y"], x_validation=arrays["validation"],
            y_validation=arrays["validation_y"], x_test=arrays["test"], y_test=arrays["test_y"], normalize="none",
        )  # fmt: skip
        made = ravine.Study(
            name="heads", data=data, model={"kind": "mlp", "hidden": []}, epochs=self.epochs, batch_size=self.batch,
            rules=[{"kind": kind, "lr": list(lrs)} for kind, lrs in RULES], seeds=SEEDS, evaluations=4,
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            results = ravine.run(made, store=folder, device="cpu", quiet=True)
            took = time.perf_counter() - began
        assert len(results.runs) == HEADS, "as many heads as the others"
        return took

    def convex(self) -> float:
        """Its solver, tolerance and type of numbers are the defaults; printed is how many iterations it took."""
        from sklearn.linear_model import LogisticRegression

        began, fitted = time.perf_counter(), []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has not converged is printed
            for c in CS:
                model = LogisticRegression(C=c, max_iter=MOST)
                fitted.append(model.fit(self.arrays["train"], self.arrays["train_y"]))
        took = time.perf_counter() - began
        for c, model in zip(CS, fitted, strict=True):
            (num,), score = model.n_iter_, model.score(self.arrays["test"], self.arrays["test_y"])
            ended = "converged" if num < MOST else "did not converge"
            print(f"C = {c:g}: {ended}, iterations: {num}, right at test: {score:.1%}", flush=True)
        return took

    def together(self) -> float:
        """As DINOv2's linear.py has them: one batch, all losses added up, one optimizer with a group for each head."""
        heads = nn.ModuleDict({f"head{i}": nn.Linear(WIDTH, CLASSES) for i in range(HEADS)})
        lrs = np.geomspace(1e-3, 0.1, HEADS)
        groups = [
            {"params": head.parameters(), "lr": lr} for head, lr in zip(heads.values(), lrs, strict=True)
        ]
        optimizer = torch.optim.SGD(groups, momentum=0.9, weight_decay=0.0)  # type: ignore[arg-type]

        def step(rows: Tensor) -> None:
            x, y = self.x[rows], self.y[rows]
            outputs = {name: head(x) for name, head in heads.items()}
            loss = torch.stack([F.cross_entropy(output, y) for output in outputs.values()]).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        return self._extrapolated(step, 40) * self.steps

    def alone(self) -> float:
        """Of one head after the other, with torch's fused kernels."""
        return HEADS * self.steps * statistics.fmean(self._loop(kind, lambda x: x) for kind, _ in RULES)

    def with_network(self) -> float:
        """The same with the network in the loop, on pictures of 96 x 96."""
        from ravine.backbones.lite0 import EfficientNetLite0

        whole = EfficientNetLite0()
        whole.classifier = nn.Identity()
        network = whole.eval().to(memory_format=torch.channels_last)
        pictures = torch.randn(self.batch, 3, 96, 96).contiguous(memory_format=torch.channels_last)

        @torch.no_grad()
        def featured(x: Tensor) -> Tensor:
            found: Tensor = network(pictures)
            return found

        return HEADS * self.steps * self._loop("momentum", featured, 5)

    def _loop(self, kind: str, featured: Callable[[Tensor], Tensor], num: int = 150) -> float:
        head = nn.Linear(WIDTH, CLASSES)
        make: dict[str, Callable[..., torch.optim.Optimizer]] = {
            "sgd": torch.optim.SGD, "momentum": torch.optim.SGD, "adam": torch.optim.Adam,
            "adamw": torch.optim.AdamW,
        }  # fmt: skip
        more = {"momentum": 0.9} if kind == "momentum" else {}
        optimizer = make[kind](head.parameters(), lr=1e-3, fused=True, **more)

        def step(rows: Tensor) -> None:
            x, y = featured(self.x[rows]), self.y[rows]
            loss = F.cross_entropy(head(x), y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

        return self._extrapolated(step, num)

    def _extrapolated(self, step: Callable[[Tensor], None], num: int) -> float:
        """Seconds of a step, the mean of some after two that are not counted."""
        batches = [torch.randperm(NUM)[: self.batch] for _ in range(num + 2)]
        for rows in batches[:2]:
            step(rows)
        began = time.perf_counter()
        for rows in batches[2:]:
            step(rows)
        return (time.perf_counter() - began) / num
