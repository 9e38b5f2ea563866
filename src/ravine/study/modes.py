"""How finished runs predict at test beside the mean pass: Monte Carlo over stochastic layers, views of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from ravine.errors import StudyError, choices
from ravine.messages import lacking, unknown, wrong
from ravine.study.fields import whole
from ravine.study.recipe import content_id
from ravine.study.views import Views, parse_views

Draw: TypeAlias = Literal["example", "batch"]

MEAN, MC = "mean", "mc"
WITH_VIEWS = "+views"
SAMPLES = 50
MOST_SAMPLES = 10_000
_MODES = (MEAN, MC)
_KEYS = ("modes", "samples", "draw", "views", "judge")
_EXAMPLE = 'must be a table such as { modes = ["mean", "mc"], samples = 50, views = "flips" }'


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One way to predict at test; its predictions are averages of probabilities over passes.

    Args:
        samples: Monte Carlo passes, whose stochastic layers draw; 0: the mean pass.
        draw: whether each example has masks of its own, or all examples the same ones.
        views: copies of a picture; (): the picture itself.
    """

    samples: int = 0
    draw: Draw = "example"
    views: Views = ()

    @property
    def name(self) -> str:
        """What it is called.

        Example:
            >>> Mode(samples=50).name, Mode(views=parse_views("flips")).name
            ('mc', 'mean+views')
        """
        return (MC if self.samples else MEAN) + (WITH_VIEWS if self.views else "")

    @property
    def words(self) -> str:
        """The same for people, with its numbers."""
        passes = "the mean pass" if not self.samples else f"mc with {self.samples:,} samples"
        if self.samples and self.draw == "batch":
            passes += " shared by all examples"
        return passes + (f" of {len(self.views)} views" if self.views else "")

    @property
    def content(self) -> dict[str, Any]:
        """Plain data, all that its predictions depend on beside the run."""
        drawn = {"samples": self.samples, "draw": self.draw} if self.samples else {}
        return drawn | ({"views": [view.content for view in self.views]} if self.views else {})

    @property
    def id(self) -> str:
        """Of the content: 16 hex digits."""
        return content_id({"mode": self.content})


@dataclass(frozen=True, slots=True, kw_only=True)
class AtTest:
    """How the runs of a study are evaluated once they have finished, beside the mean pass that training makes.

    Args:
        modes: "mean", "mc" or both; the mean pass is there in any case.
        samples: Monte Carlo passes.
        draw: "example": each example has masks of its own; "batch": one network is drawn for all.
        views: of each picture; (): none.
        judge: the name of the mode that the verdict is about.
    """

    modes: tuple[str, ...] = (MEAN,)
    samples: int = SAMPLES
    draw: Draw = "example"
    views: Views = ()
    judge: str = MEAN

    @property
    def asked(self) -> tuple[Mode, ...]:
        """The modes that are evaluated after training, in the order in which they are shown.

        Example:
            >>> [mode.name for mode in parse_test_time({"modes": ["mean", "mc"], "views": "flips"}).asked]
            ['mc', 'mean+views', 'mc+views']
        """
        mc = [Mode(samples=self.samples, draw=self.draw)] if MC in self.modes else []
        if not self.views:
            return tuple(mc)
        mean = [Mode(views=self.views)] if MEAN in self.modes else []
        return (*mc, *mean, *(Mode(samples=one.samples, draw=one.draw, views=self.views) for one in mc))

    @property
    def judged(self) -> Mode | None:
        """The mode that the verdict is about; None: the mean pass."""
        return next((mode for mode in self.asked if mode.name == self.judge), None)

    def content(self) -> dict[str, Any]:
        """The table that `parse_test_time` reads; defaults are left out."""
        found: dict[str, Any] = {"modes": list(self.modes)}
        if MC in self.modes:
            found["samples"] = self.samples
            found |= {} if self.draw == "example" else {"draw": self.draw}
        if self.views:
            found["views"] = [view.content for view in self.views]
        return found if self.judge == MEAN else {**found, "judge": self.judge}


AtTestLike: TypeAlias = Mapping[str, Any] | AtTest


def parse_test_time(value: object) -> AtTest | None:
    """How to evaluate at test, from a table; None: by the mean pass alone.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> parse_test_time({"modes": ["mc"], "samples": 20}).asked
        (Mode(samples=20, draw='example', views=()),)
    """
    if value is None:
        return None
    if isinstance(value, AtTest):
        value = value.content()
    if not isinstance(value, Mapping):
        raise wrong("test_time", value, _EXAMPLE)
    for key in value:
        if key not in _KEYS:
            raise unknown("test_time", key, _KEYS)
    modes = _modes(value.get("modes", [MEAN]))
    for key in ("samples", "draw"):
        if key in value and MC not in modes:
            raise lacking(f"test_time.{key}", 'only mc draws: write modes = ["mean", "mc"]')
    draw = value.get("draw", "example")
    if not isinstance(draw, str) or draw not in get_args(Draw):
        raise wrong("test_time.draw", draw, choices(draw, get_args(Draw)))
    found = AtTest(
        modes=modes,
        samples=whole(value.get("samples", SAMPLES), "test_time.samples", 1, MOST_SAMPLES),
        draw=draw,  # type: ignore[arg-type]
        views=parse_views(value["views"], "test_time.views") if "views" in value else (),
    )
    if not found.asked:
        raise lacking("test_time", f"only the mean pass, which every run has anyway; it {_EXAMPLE}")
    names = (MEAN, *(mode.name for mode in found.asked))
    judge = value.get("judge", MEAN)
    if not isinstance(judge, str) or judge not in names:
        raise wrong("test_time.judge", judge, choices(judge, names))
    return AtTest(modes=found.modes, samples=found.samples, draw=found.draw, views=found.views, judge=judge)


def check_tuning(test_time: AtTest, tune: str) -> None:
    """See that no choice between two stages is made by another mode than the verdict's.

    Raises:
        StudyError: the first stage would choose by the mean pass.
    """
    if tune != "joint" and test_time.judge != MEAN:
        raise StudyError(
            f"test_time.judge = {test_time.judge!r}: tune = \"{tune}\" chooses by the mean pass; allowed: 'mean'",
            at=[("test_time", "judge"), ("tune",)],
        )


def _modes(value: object) -> tuple[str, ...]:
    listed = list(value) if isinstance(value, list | tuple) else [value]
    if not listed:
        raise wrong("test_time.modes", value, 'must be "mean", "mc" or both')
    for each in listed:
        if not isinstance(each, str) or each not in _MODES:
            raise wrong("test_time.modes", each, choices(each, _MODES))
    return tuple(mode for mode in _MODES if mode in listed)
