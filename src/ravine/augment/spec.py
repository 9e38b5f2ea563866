"""The keys of ``augment``: strengths, which are numbers of a run, and options, which are structure.

Without torch: a study is read before torch is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from ravine.errors import StudyError
from ravine.forms import Form, Limits, Refused
from ravine.messages import count, unknown, wrong
from ravine.rules import Hyper

Kind = Literal["pictures", "tables", "both"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strength:
    """One technique's strength.

    Args:
        hyper: what it is, in words, its default and its range.
        unit: of the number.
        suits: the data that it is for.
    """

    hyper: Hyper
    unit: str
    suits: Kind = "pictures"


def _strength(
    about: str, unit: str, high: float | None = None, suits: Kind = "pictures", **more: Any
) -> Strength:
    limit = {} if high is None else {"high": high}
    return Strength(hyper=Hyper(**{"about": about, "default": 0.0, **limit, **more}), unit=unit, suits=suits)


STRENGTHS: Mapping[str, Strength] = {
    "flip": _strength("probability of a mirror image, left to right", "probability", 1.0),
    "crop": _strength(
        "padding, out of which a window is cut at random: shifts from -s to s", "pixels", 4096.0, whole=True
    ),
    "scale": _strength("size times 1 + U(-s, s)", "fraction", 1.0, high_open=True),
    "rotate": _strength("turn by U(-s, s), counter-clockwise where positive", "degrees", 180.0),
    "translate": _strength("shift by U(-s, s) of each side", "fraction of the side", 1.0),
    "shear": _strength("shear along x by U(-s, s), the top to the right where positive", "degrees", 80.0),
    "stretch": _strength("aspect ratio 1 + U(-s, s), at equal area", "fraction", 1.0, high_open=True),
    "lens": _strength("radial distortion r (1 + U(-s, s) r^2), r over the half diagonal", "fraction", 0.3),
    "brightness": _strength("pixels times U(max(0, 1 - s), 1 + s)", "factor"),
    "contrast": _strength("distance from the picture's mean grey times U(max(0, 1 - s), 1 + s)", "factor"),
    "saturation": _strength("distance from each pixel's grey times U(max(0, 1 - s), 1 + s)", "factor"),
    "hue": _strength("hue turned by U(-s, s)", "turns", 0.5),
    "pca": _strength("noise along the principal colours of the training part", "standard deviation of alpha"),
    "cutout": _strength("a box of this part of each side is filled", "fraction of the side", 1.0),
    "mixup": _strength("mixed with another example, lambda from Beta(s, s)", "alpha", suits="both"),
    "cutmix": _strength("a box of another picture, its area from Beta(s, s)", "alpha"),
    "mix_p": _strength(
        "probability that an example is mixed at all", "probability", 1.0, suits="both", default=1.0
    ),
    "noise": _strength("Gaussian noise on standardized columns", "standard deviations", suits="tables"),
    "cell_dropout": _strength(
        "probability that a cell gets its column's value of another training row",
        "probability",
        1.0,
        "tables",
    ),
}
"""Every strength by its name: as a hyper of a run it is ``augment.NAME``. 0 leaves the examples bitwise as they are.

A technique that is not named is not done; `mix_p` is then 1.
"""

GEOMETRY = ("flip", "crop", "scale", "rotate", "translate", "shear", "stretch", "lens")
COLOUR = ("brightness", "contrast", "saturation", "hue", "pca")
MIXING = ("mixup", "cutmix")
MOST_VIEWS = 1000
_OF_COLOURS = ("saturation", "hue")
_NESTED: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "crop": ("pad", {"fill": "fill"}),
    "cutout": ("size", {"fill": "cutout_fill"}),
}


class Augment(Form):
    """The options of ``augment``: structure, the same for all runs of a study.

    Attributes:
        fill: what lies outside a picture: ``"black"``, ``"mean"`` (each channel's mean in the training part) or
            ``"reflect"`` (the picture mirrored at its outermost pixels).
        cutout_fill: what a cut-out box is filled with.
        order: of colour: ``"fixed"`` is brightness, contrast, saturation, hue, without clamps, one matrix a picture;
            hue is then a turn about the grey axis in YIQ, as DALI's. ``"random"`` draws the order for each picture and
            clamps to [0, 1] after each, and hue is HSV's, as torchvision's.
        draw: whether each ``"example"`` or each ``"batch"`` draws its lambda and its box in mixup and cutmix.
        fit: whether boxes have their centre in the picture and are clipped, ``"clip"``, or lie ``"inside"``.
        views: of heads on a frozen network: how often each example is drawn, once for all runs; None: they are not.

    Example:
        >>> Augment(order="random").changed()
        {'order': 'random'}
    """

    fill: Literal["black", "mean", "reflect"] = "black"
    cutout_fill: Literal["mean", "black"] = "mean"
    order: Literal["fixed", "random"] = "fixed"
    draw: Literal["example", "batch"] = "example"
    fit: Literal["clip", "inside"] = "clip"
    views: Annotated[int, Limits(least=1, most=MOST_VIEWS)] | None = None


def read_augment(value: object, where: str = "augment") -> tuple[Augment, dict[str, Any]]:
    """The options, and what was given for each strength, still to be read as any hyper of a study is.

    ``crop = { pad = 4, fill = "reflect" }`` is ``crop = 4, fill = "reflect"``, and ``cutout = { size = 0.5, fill =
    "black" }`` is ``cutout = 0.5, cutout_fill = "black"``. A strength may be a number, a list (the grid) or a range.

    Args:
        value: the table.
        where: its key, for errors.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> options, strengths = read_augment({"flip": 0.5, "crop": {"pad": [0, 4], "fill": "reflect"}})
        >>> options.changed(), strengths
        ({'fill': 'reflect'}, {'flip': 0.5, 'crop': [0, 4]})
    """
    if not isinstance(value, Mapping):
        raise wrong(
            where, value, 'must be a table, such as { flip = 0.5, crop = { pad = 4, fill = "reflect" } }'
        )
    options: dict[str, Any] = {}
    strengths: dict[str, Any] = {}
    for key, given in value.items():
        if key in Augment.defaults:
            _set(options, key, given, f"{where}.{key}")
        elif key not in STRENGTHS:
            raise unknown(where, key, (*STRENGTHS, *Augment.defaults))
        elif key in _NESTED and isinstance(given, Mapping) and not {"log", "linear"} & set(given):
            strengths[key] = _nested(key, given, f"{where}.{key}", options)
        else:
            strengths[key] = given
    try:
        return Augment.of(options), strengths
    except Refused as fault:
        raise fault.in_study(where) from None


def _nested(key: str, table: Mapping[str, Any], where: str, options: dict[str, Any]) -> Any:
    inside, named = _NESTED[key]
    for name in table:
        if name != inside and name not in named:
            raise unknown(where, name, (inside, *named))
    if inside not in table:
        raise StudyError(
            f"{where}.{inside}: missing, it must be given", at=[(*where.split("."), inside)], what="missing"
        )
    for name, option in named.items():
        if name in table:
            _set(options, option, table[name], f"{where}.{name}")
    return table[inside]


def _set(options: dict[str, Any], name: str, value: Any, where: str) -> None:
    if name in options and options[name] != value:
        raise wrong(
            where, value, f"is given twice, the other is {options[name]!r}: all of geometry has one fill"
        )
    options[name] = value


def check_augment(
    strengths: Mapping[str, float], shape: Sequence[int], task: str, where: str = "augment"
) -> None:
    """See that the techniques suit the data.

    Args:
        strengths: the largest value of each.
        shape: of one example, (C, H, W) for pictures.
        task: "classification" or "regression".
        where: the key, for errors.

    Raises:
        StudyError: one line with the key, its value and why the data has no use for it.

    Example:
        >>> try:
        ...     check_augment({"flip": 0.5}, (13,), "classification")
        ... except StudyError as error:
        ...     print(error)
        augment.flip = 0.5: is for pictures, an example here has 13 numbers; allowed: mixup, mix_p, noise, cell_dropout
    """
    pictures = len(shape) == 3
    kind = "pictures" if pictures else "tables"
    allowed = [name for name, each in STRENGTHS.items() if each.suits in (kind, "both")]
    if task == "regression" and "cutmix" in allowed:
        allowed.remove("cutmix")
    for name, value in strengths.items():
        suits = STRENGTHS[name].suits
        if suits not in (kind, "both"):
            numbers = count(shape[0], "number") if len(shape) == 1 else f"shape {tuple(shape)}"
            what = f"{len(shape)} dimensions, (C, H, W)" if pictures else numbers
            words = f"is for {suits}, an example here has {what}; allowed: {', '.join(allowed)}"
            raise wrong(f"{where}.{name}", value, words)
        if name == "cutmix" and task == "regression":
            words = (
                "is for classification: no part of a picture has a part of its answer; mixup mixes answers"
            )
            raise wrong(f"{where}.{name}", value, words)
        if not pictures:
            continue
        channels, *sides = shape
        if name in _OF_COLOURS and channels != 3:
            raise wrong(
                f"{where}.{name}", value, f"needs pictures of 3 channels, these have {channels}; leave it out"
            )
        if name in COLOUR and channels not in (1, 3):
            raise wrong(
                f"{where}.{name}",
                value,
                f"needs pictures of 1 or 3 channels, these have {channels}; leave it out",
            )
        if name == "crop" and value >= min(sides):
            words = f"the padding must be smaller than the picture, {sides[0]} x {sides[1]} pixels here"
            raise wrong(f"{where}.{name}", value, words)
