"""How the examples of a study's batches are augmented: the table ``augment``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from ravine.augment.spec import COLOUR, GEOMETRY, MIXING, STRENGTHS, Augment, check_augment, read_augment
from ravine.data import Dataset
from ravine.messages import wrong
from ravine.study.values import Range, Values, parse_values, plain

AUGMENT = "augment."
"""What the name of a strength begins with where it is a hyper of a run."""

VIEWS = "views"
"""The option that gives heads on a frozen network views of each example, drawn once."""
_ROUNDING = 1e-4  # of pixels that were scaled in float32
_USED_BY: Mapping[str, Sequence[str]] = {  # the techniques that an option matters to
    "fill": tuple(name for name in GEOMETRY if name != "flip"),
    "cutout_fill": ("cutout",),
    "order": COLOUR,
    "draw": MIXING,
    "fit": ("cutout", "cutmix"),
    VIEWS: tuple(name for name in STRENGTHS if name not in (*MIXING, "mix_p")),
}
_OF_PIXELS = (*GEOMETRY, *COLOUR, "cutout")


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """What a study says of augmentation.

    Args:
        options: the same for all runs.
        strengths: the values of each technique that the study names, all of them parts of the grid.
    """

    options: Augment
    strengths: Mapping[str, Values]

    def content(self) -> dict[str, Any]:
        """It as a table of a study."""
        return {**{name: plain(values) for name, values in self.strengths.items()}, **self.options.changed()}

    @property
    def factors(self) -> dict[str, Values]:
        """The values of each strength, by its name as a hyper of a run."""
        return {f"{AUGMENT}{name}": values for name, values in self.strengths.items()}

    def at(self, hypers: Mapping[str, float]) -> Augmentation:
        """With the strengths of one run."""
        return replace(self, strengths={name: strength(hypers, name) for name in self.strengths})

    def used(self, hypers: Mapping[str, float], *, on_features: bool = False) -> dict[str, Any] | None:
        """Those options that are no defaults and matter to a run with these hypers; None where there are none.

        So a run without a technique is the same run whatever the study says of that.

        Args:
            hypers: of the run.
            on_features: whether it learns from features computed once; no other run has views.
        """
        options = {
            name: value
            for name, value in self.options.changed().items()
            if any(hypers.get(f"{AUGMENT}{technique}") for technique in _USED_BY[name])
            and (on_features or name != VIEWS)
        }
        return options or None


AugmentLike: TypeAlias = Mapping[str, Any] | Augmentation


def parse_augment(value: object) -> Augmentation | None:
    """How examples are augmented; None: they are not.

    Args:
        value: a table of strengths and options, an `Augmentation`, or None.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> parse_augment({"crop": {"pad": 4, "fill": "reflect"}, "cutout": [0.0, 0.5]}).factors
        {'augment.crop': 4.0, 'augment.cutout': (0.0, 0.5)}
    """
    if value is None or isinstance(value, Augmentation):
        return value
    options, given = read_augment(value)
    strengths = {
        name: parse_values(each, f"{AUGMENT}{name}", STRENGTHS[name].hyper, switches=False)
        for name, each in given.items()
    }
    if "mix_p" in strengths and not any(name in strengths for name in MIXING):
        raise wrong(f"{AUGMENT}mix_p", given["mix_p"], "has no meaning without mixup or cutmix; leave it out")
    if options.views is not None:
        _check_views(options.views, strengths)
    return Augmentation(options=options, strengths=strengths)


def _check_views(num: int, strengths: Mapping[str, Values]) -> None:
    """See that views can be drawn of each example by itself.

    Raises:
        StudyError: there is nothing to draw, or a technique takes a batch.
    """
    if not strengths:
        raise wrong(f"{AUGMENT}{VIEWS}", num, "nothing is drawn; write augment = { flip = 0.5, views = 8 }")
    mixing = next((name for name in MIXING if _largest(strengths.get(name, 0.0)) > 0.0), None)
    if mixing is not None:
        words = (
            f"a view is drawn of one example, and {mixing} mixes those of a batch; leave one of the two out"
        )
        raise wrong(f"{AUGMENT}{VIEWS}", num, words)


def techniques(hypers: Sequence[Mapping[str, float]]) -> tuple[str, ...]:
    """The strengths that some of these runs' hypers have above 0; () where no run changes an example.

    Example:
        >>> techniques([{"augment.cutout": 0.5, "augment.mix_p": 0.5}, {"augment.flip": 0.5, "augment.cutout": 0.0}])
        ('flip', 'cutout')
    """
    used = [name for name in STRENGTHS if any(each.get(f"{AUGMENT}{name}") for each in hypers)]
    return tuple(name for name in used if name != "mix_p" or any(mixing in used for mixing in MIXING))


def num_views(options: Mapping[str, Any] | None) -> int:
    """How many views of each example the runs of a recipe have; 0: they see the examples themselves.

    Args:
        options: what the recipe has as `augment`.

    Example:
        >>> num_views({"fill": "reflect", "views": 8}), num_views(None)
        (8, 0)
    """
    return (options or {}).get(VIEWS) or 0


def strength(hypers: Mapping[str, float], name: str) -> float:
    """The strength of a technique in a run."""
    return hypers.get(f"{AUGMENT}{name}", _off(name))


def check_augmentation(found: Augmentation, data: Dataset) -> None:
    """See that the techniques suit the data.

    Raises:
        StudyError: one line with the key, the value and what is allowed.
    """
    largest = {name: _largest(values) for name, values in found.strengths.items()}
    used = {name: value for name, value in largest.items() if value > 0.0}
    shape = data.input_shape
    if used and len(shape) not in (1, 3):
        name, value = next(iter(used.items()))
        words = (
            f"needs pictures (channels, height, width) or rows of numbers; an example here has shape {shape}"
        )
        raise wrong(f"{AUGMENT}{name}", value, f"{words}; leave it out")
    check_augment(used, shape, data.task)
    first = next((name for name in used if name in _OF_PIXELS), None)
    if first is None:
        return
    if pixel_scale(data) is None:
        raise wrong(
            f"{AUGMENT}{first}",
            used[first],
            f"{data.name} scales each pixel by a mean of its own, so that none can take the place of another; give "
            'data normalize = "channel" or "none"',
        )
    colour = next((name for name in used if name in COLOUR), None)
    if colour is not None:
        low, high = _pixels(data)
        if not (low >= -_ROUNDING and high <= 1.0 + _ROUNDING):
            raise wrong(
                f"{AUGMENT}{colour}",
                used[colour],
                f"needs pixels in [0, 1], those of {data.name} are from {low:.4g} to {high:.4g}; give bytes, or "
                "divide by the largest value",
            )


def pixel_scale(data: Dataset) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Mean and deviation of each channel, by which pixels from 0 to 1 were scaled; both empty where they were not.

    None where pixels of one channel were scaled differently.
    """
    scaling = data.known_preparation.inputs.scaling
    if not scaling.mean:
        return (), ()
    if len(scaling.mean) != data.input_shape[0]:
        return None
    unit = 255.0 if scaling.table else 1.0  # whose scale is of bytes
    return tuple(each / unit for each in scaling.mean), tuple(each / unit for each in scaling.deviation)


def _pixels(data: Dataset) -> tuple[float, float]:
    """The smallest and the largest pixel of the training part."""
    scale = pixel_scale(data)
    if (
        scale is None or not len(data.train) or data.fingerprint == "blank"
    ):  # image files, not read for a check
        return 0.0, 1.0
    mean, deviation = (np.array(each).reshape(-1, 1, 1) for each in scale)
    ends = [
        (part.min(axis=(0, 2, 3)), part.max(axis=(0, 2, 3)))
        for part in map(data.train.some, data.train.chunks())
    ]
    low, high = np.min([each[0] for each in ends], axis=0), np.max([each[1] for each in ends], axis=0)
    if mean.size:
        low, high = low * deviation.ravel() + mean.ravel(), high * deviation.ravel() + mean.ravel()
    return float(low.min()), float(high.max())


def _largest(values: Values) -> float:
    if isinstance(values, Range):
        return values.ends[1]
    return max(values) if isinstance(values, tuple) else values


def _off(name: str) -> float:
    """The strength of a technique that is not named."""
    default = STRENGTHS[name].hyper.default
    return 0.0 if default is None else default
