"""Freeze or fine-tune, from a study file to its words, on a small network that has learned elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import ravine
from ravine.api.features import optimum
from ravine.outcomes import Results

pytestmark = pytest.mark.slow

ARMS = ("head", "all", "scratch", "random", "pixels")
SMALL = """
from torch import nn


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(5, 4)

    def forward(self, x):
        return self.classifier(self.features(x))
"""
STUDY = """
name = "few"
data = { kind = "images", path = "pictures", size = 8 }
seeds = 1
ladder = { per_class = [2, 5], draws = 2, arms = ["head", "all", "scratch", "random", "pixels"], least_steps = 3 }

[model]
kind = "backbone"
weights = "file:small.safetensors"
target = "arms_net:Small"

[[phases]]
train = "head"
steps = 4
lr = 0.1

[[phases]]
train = "all"
epochs = 1
lr_factor = 0.1

[[rules]]
kind = "sgd"
lr = 0.1
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("arms")
    rng = np.random.default_rng(0)
    for split, num in (("train", 10), ("test", 6)):
        for place, name in enumerate(("dark", "light")):
            (folder / "pictures" / split / name).mkdir(parents=True)
            for i in range(num):
                pixels = rng.integers(0, 128, (8, 8, 3)) + 100 * place
                Image.fromarray(pixels.astype(np.uint8)).save(folder / "pictures" / split / name / f"{i}.png")
    (folder / "arms_net.py").write_text(SMALL)
    torch.manual_seed(0)
    body = nn.Conv2d(3, 5, 3, padding=1)
    head = nn.Linear(5, 4)
    save_file(
        {
            "features.0.weight": body.weight.detach(),
            "features.0.bias": body.bias.detach(),  # type: ignore[union-attr]
            "classifier.weight": head.weight.detach(),
            "classifier.bias": head.bias.detach(),
        },
        folder / "small.safetensors",
    )
    (folder / "few.toml").write_text(STUDY)
    return ravine.run(folder / "few.toml", store=folder / "runs", quiet=True)


def test_every_arm_has_every_part(results: Results) -> None:
    ladder = results.ladder
    assert ladder is not None
    assert results.noun == "arm"
    assert ladder.arms == ARMS
    assert {(each.arm, each.part.per_class, each.part.draw) for each in ladder.chosen} == {
        (arm, n, draw) for arm in ARMS for n in (2, 5) for draw in (0, 1)
    }
    assert len(ladder.pairs) == 10


def test_recipes_of_arms(results: Results) -> None:
    by_arm = {
        run.rule: run.recipe for run in results.runs if run.recipe["part"] == {"per_class": 5, "draw": 1}
    }
    assert {arm: recipe.get("train", "all") for arm, recipe in by_arm.items()} == {
        "head": "head",
        "all": "all",
        "scratch": "all",
        "random": "head",
        "pixels": "all",
    }
    before = by_arm["all"]["before"]
    assert (before["train"], before["part"], before["steps"]) == ("head", {"per_class": 5, "draw": 1}, 4)
    # The arm "head" is as that phase: with the rule's lr, which is the same here, one run.
    assert by_arm["head"] == before
    # Lengths of two units cannot be added up, so what is trained from scratch has two phases too.
    assert {arm for arm, recipe in by_arm.items() if recipe.get("before")} == {"all", "scratch"}


def test_scratch_learns_in_all_of_its_network(results: Results) -> None:
    one = next(run for run in results.runs if run.rule == "scratch")
    tensors = results.source.tensors("weights", one.id)
    assert {name.partition(".")[0] for name in tensors} == {"body", "head"}


def test_each_part_has_a_best_head_of_its_own_and_other_arms_are_named(results: Results) -> None:
    folder = results.source.folder.parent
    found = optimum(folder / "few.toml", store=folder / "runs", quiet=True)
    assert {(each.of, each.per_class, each.draw) for each in found.gaps} == {
        (arm, n, draw) for arm in ("head", "random") for n in (2, 5) for draw in (0, 1)
    }
    assert len({each.optimum for each in found.gaps}) == 8
    assert found.left_out == {"all": 4, "scratch": 4, "pixels": 4}
