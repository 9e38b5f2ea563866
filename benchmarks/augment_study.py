"""What augmentation costs in training: in a step, in studies of many strengths, and beside a plain PyTorch loop.

    python benchmarks/augment_study.py step     # a convnet on 28 x 28 pictures: steps with and without
    python benchmarks/augment_study.py many     # whole studies: 64 strengths, 64 seeds of one, 64 seeds without
    python benchmarks/augment_study.py whole    # resnet-20 at 32 x 32: `ravine run`, and a loop with a DataLoader

All contenders are measured in turn in one process; every repetition gives a ratio to the first. The pictures are random
bytes: what training learns does not matter to its speed. The loop of `whole` has the transforms of torchvision v2, and
is left out where that is not installed. Notes and results: augment.md.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

import ravine
from ravine.engine.cohort import Cohort
from ravine.engine.training import Training
from ravine.launch.subject import Subject

FLIP_CROP: dict[str, Any] = {"flip": 0.5, "crop": 4, "fill": "reflect"}
RECIPE: dict[str, Any] = {
    **FLIP_CROP, "rotate": 15, "scale": 0.2, "translate": 0.1, "brightness": 0.4, "contrast": 0.4, "cutout": 0.5,
}  # fmt: skip
COLOURS: dict[str, Any] = {"saturation": 0.4, "hue": 0.1}
STEP: dict[str, dict[str, Any] | None] = {
    "none": None,
    "flip": {"flip": 0.5},
    "flip, crop, cutout": {**FLIP_CROP, "cutout": 0.5},
    "mixup": {"mixup": 0.2},
    "whole recipe": {**RECIPE, "mixup": 0.2},
}


def pictures(num: int, channels: int, side: int) -> ravine.Dataset:
    """Random bytes of ten classes."""
    draw = np.random.default_rng(0)
    x = draw.integers(0, 256, (num, channels, side, side)).astype(np.uint8)
    return ravine.from_arrays(x, np.arange(num) % 10, validation=0.1, test=0.1, name="random pictures")


def study(data: ravine.Dataset, augment: dict[str, Any] | None, **changes: Any) -> ravine.Study:
    given: dict[str, Any] = {
        "name": "augment", "data": data, "model": "convnet", "batch_size": 64, "seeds": 4, "steps": 1_000_000,
        "rules": [{"kind": "momentum", "lr": 0.01}], "augment": augment, "evaluations": 1,
    }  # fmt: skip
    return ravine.Study(**{**given, **changes})


def rows(title: str, seconds: dict[str, list[float]], unit: float, of: str) -> None:
    """A line of a table for each contender: time, and ratio to the first."""
    print(f"\n| {title} | {of} | times the first |\n|---|---|---|")
    base = next(iter(seconds.values()))
    for name, own in seconds.items():
        ratios = [each / before for each, before in zip(own, base, strict=True)]
        spread = f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        print(f"| {name} | {statistics.median(own) / unit:.3f} | {spread if own is not base else ''} |")


def measured(
    contenders: dict[str, Callable[[], object]], repeats: int, warm: int = 1
) -> dict[str, list[float]]:
    """Seconds of each, all in turn; the first rounds are not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for repetition in range(repeats + warm):
        for name, go in contenders.items():
            start = time.perf_counter()
            go()
            if repetition >= warm:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def step(steps: int, repeats: int) -> None:
    """Native steps of four runs of a convnet."""
    data = pictures(4000, 1, 28)
    with ExitStack() as stack:
        # All are made before one runs: within a running program PyTorch has one thread.
        made = {name: _training(study(data, augment)) for name, augment in STEP.items()}
        for training in made.values():
            stack.enter_context(training._program.running())
        contenders = {name: partial(_advance, training, steps) for name, training in made.items()}
        seconds = measured(contenders, repeats)
    rows("convnet, 64 x 1 x 28 x 28, four runs", seconds, steps * 4 * 1e-3, "ms a run and step")


def _training(made: ravine.Study, backend: str = "native") -> Training:
    subject = Subject.of(made, device="cpu")
    runs = subject.runs()
    return Training(Cohort.of(runs), subject.network(runs), subject.data, backend, subject.device)


def _advance(training: Training, num: int) -> None:
    end = training.step + num
    while training.step < end:
        training.advance(end - training.step)


def many(steps: int, repeats: int) -> None:
    """Whole studies of 64 runs, each in a store of its own."""
    data, sizes = pictures(2000, 1, 28), np.linspace(0.1, 0.6, 64).round(6).tolist()
    for model in (
        {"kind": "mlp", "hidden": [128, 128]},
        {"kind": "convnet", "channels": [8, 16], "hidden": 32},
    ):
        given = {"model": model, "steps": steps}
        studies = {
            "64 seeds, one strength": study(data, {**FLIP_CROP, "cutout": 0.5}, seeds=64, **given),
            "64 strengths, one seed": study(data, {**FLIP_CROP, "cutout": sizes}, seeds=1, **given),
            "64 seeds, no augmentation": study(data, None, seeds=64, **given),
        }
        seconds = measured({name: partial(_run, each) for name, each in studies.items()}, repeats)
        rows(f"{model['kind']}, 64 runs of {steps} steps", seconds, 1.0, "seconds of the study")


def _run(made: ravine.Study) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ravine.run(made, store=folder, quiet=True, device="cpu")


def whole(epochs: int, repeats: int, num: int, runs: int) -> None:
    """resnet-20 on pictures of 32 x 32: whole commands."""
    data = pictures(num, 3, 32)
    for title, augment in (("flip and crop", FLIP_CROP), ("whole recipe", {**RECIPE, **COLOURS})):
        resnet = study(data, augment, model="resnet", epochs=epochs, steps=None, seeds=runs, batch_size=128)
        contenders: dict[str, Callable[[], object]] = {"ravine": partial(_run, resnet)}
        transforms = _transforms(title == "whole recipe")
        if transforms is not None:
            for workers in sorted({0, os.cpu_count() or 1}):
                name = f"PyTorch, DataLoader with {workers} workers"
                contenders[name] = partial(_loop, data, transforms, epochs, runs, workers)
        plain = study(data, None, model="resnet", epochs=epochs, steps=None, seeds=runs, batch_size=128)
        contenders["ravine without augmentation"] = partial(_run, plain)
        rows(
            f"resnet-20, {title}, {runs} runs of {epochs} epochs of {len(data.train):,} pictures",
            measured(contenders, repeats, warm=0),
            1.0,
            "seconds",
        )


def _transforms(recipe: bool) -> Any:
    try:
        v2 = importlib.import_module("torchvision.transforms.v2")
    except (ImportError, RuntimeError):
        return None
    parts: list[Any] = [v2.ToImage(), v2.RandomHorizontalFlip(), v2.RandomCrop(32, 4, padding_mode="reflect")]
    if recipe:
        parts.append(v2.RandomAffine(15, (0.1, 0.1), (0.8, 1.2), interpolation=v2.InterpolationMode.BILINEAR))
        parts.append(v2.ColorJitter(0.4, 0.4, 0.4, 0.1))
    parts += [v2.ToDtype(torch.float32, scale=True), v2.Normalize((0.5, 0.5, 0.5), (0.29, 0.29, 0.29))]
    if recipe:
        parts.append(v2.RandomErasing(1.0, (0.25, 0.25), (1.0, 1.0)))
    return v2.Compose(parts)


class _Pictures(torch.utils.data.Dataset[Any]):
    """Bytes in memory, transformed when they are asked for."""

    def __init__(self, data: ravine.Dataset, transform: Any) -> None:
        draw = np.random.default_rng(0)
        self._x = torch.from_numpy(draw.integers(0, 256, data.train.x.shape).astype(np.uint8))
        self._y, self._transform = torch.from_numpy(data.train.y), transform

    def __len__(self) -> int:
        return len(self._y)

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        return self._transform(self._x[i]), self._y[i]


def _loop(data: ravine.Dataset, transform: Any, epochs: int, runs: int, workers: int) -> None:
    """As in the tutorials: one run after another, and the validation and test scores at the end."""
    validation = torch.from_numpy(np.concatenate([data.validation.x, data.test.x]))
    for seed in range(runs):
        torch.manual_seed(seed)
        model = _resnet20(data)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        loader = torch.utils.data.DataLoader(
            _Pictures(data, transform),
            batch_size=128,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            persistent_workers=workers > 0,
        )
        for _ in range(epochs):
            for x, y in loader:
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x.to(memory_format=torch.channels_last)), y).backward()
                optimizer.step()
        model.eval()
        with torch.no_grad():
            for part in validation.split(512):
                model(part)


def _resnet20(data: ravine.Dataset) -> nn.Module:
    from ravine.nn.build import build
    from ravine.nn.spec import ResNet

    module: nn.Module = build(ResNet(depth=20), data.input_shape, data.num_outputs)
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("step", "many", "whole"))
    parser.add_argument("--steps", type=int, default=200, help="of a repetition; of each run of a study")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=6400)
    parser.add_argument("--runs", type=int, default=2, help="of resnet-20")
    args = parser.parse_args(words)
    load = os.getloadavg()[0]
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {load:.1f}; ", end="")
    print(f"Python {platform.python_version()}, torch {torch.__version__}; {args.repeats} repetitions")
    if args.what == "step":
        step(args.steps, args.repeats)
    elif args.what == "many":
        many(args.steps, args.repeats)
    else:
        whole(args.epochs, args.repeats, args.pictures, args.runs)


if __name__ == "__main__":
    main()
