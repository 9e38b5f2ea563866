"""The keys of a study's model. Without torch: a study is checked before torch is imported."""

from __future__ import annotations

import math
import re
from datetime import date, time
from numbers import Integral, Real
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from ravine.errors import choices, with_article
from ravine.forms import Form, Limits, Refused, read

Width = Annotated[int, Limits(least=1, most=1_000_000)]
# Lists and ranges of rates are taken out of a study before it is validated: a spec has one number.
Rate = Annotated[float, Limits(least=0.0, below=1.0)]
RATES = {
    "dropout": "probability of dropping a unit",
    "alpha_dropout": "probability of dropping a unit of a self-normalizing network",
    "dropconnect": "probability of dropping a weight",
    "depth_drop": "probability of dropping the last residual branch; that of branch i of L is i/L of it",
    "stochastic_pool": "probability that a region is pooled at random; else its maximum is taken",
    "fractional_pool": "probability that the regions are drawn at random; else they are the middle ones",
}
"""Kinds of stochastic layers, and what the rate of each is; it may differ run by run, and 0 is not random at all.

Where a built-in model has a field of that name, it is the rate of the layers of that kind.
"""
POOLS = ("stochastic_pool", "fractional_pool")
"""Kinds of layers that built-in models have by their key ``pool``, and whose rate is 1 unless it is given."""
MATCH = "match:"
"""Begins the name of a rate that is not of a kind of layers, but of those whose names match a regular expression."""
Activation = Literal["relu", "tanh", "gelu", "silu"]


class MLP(Form):
    """Fully connected: [linear, norm, activation, dropout] for each hidden width, then a linear layer.

    Attributes:
        hidden: widths of the hidden layers; none of them is a linear model.
        activation: after each hidden layer.
        norm: before each activation: none, BatchNorm or LayerNorm.
        dropout: probability that a hidden unit is dropped in training, in [0, 1); with BatchNorm, of the last layer's.
        dropconnect: probability that a weight of a hidden layer is dropped in training, in [0, 1).

    Example:
        >>> MLP(hidden=(64, 32)).activation
        'relu'
    """

    kind: Literal["mlp"] = "mlp"
    hidden: Annotated[tuple[Width, ...], Limits(longest=1000)] = (128, 128)
    activation: Activation = "relu"
    norm: Literal["none", "batch", "layer"] = "none"
    dropout: Rate = 0.0
    dropconnect: Rate = 0.0


class ConvNet(Form):
    """Small convolutional network: [3x3 convolution, norm, ReLU, pooling] for each of `channels`.

    Then the mean over what is left of the picture, where `hidden` is 0, a linear layer; else flattened,
    [linear of width `hidden`, ReLU, dropout] and a linear layer. A side of 1 pixel is not pooled any more.

    Attributes:
        channels: of each convolution.
        hidden: width of the fully connected layer, 0 for none.
        norm: after each convolution: none, BatchNorm or GroupNorm (groups of 8 channels, or of what divides).
        pool: "max", 2x2 max pooling; "stochastic", the same regions, a number picked at random; or "fractional", max
            pooling by sqrt(2) over random regions.
        dropout: probability that an input of the last linear layer is dropped in training, in [0, 1).
        dropconnect: probability that a weight of the fully connected layer is dropped in training, in [0, 1); of the
            last one where there is no other.

    Example:
        >>> ConvNet(channels=(16, 32), norm="batch").hidden
        128
    """

    kind: Literal["convnet"] = "convnet"
    channels: Annotated[tuple[Width, ...], Limits(shortest=1, longest=1000)] = (32, 64)
    hidden: Annotated[int, Limits(least=0, most=1_000_000)] = 128
    norm: Literal["none", "batch", "group"] = "none"
    pool: Literal["max", "stochastic", "fractional"] = "max"
    dropout: Rate = 0.0
    dropconnect: Rate = 0.0


class ResNet(Form):
    """Residual network of 6n + 2 layers for small pictures.

    Three stages of n blocks with `width`, 2 `width` and 4 `width` channels. Shortcuts where the shape changes
    are option A: every second pixel, new channels filled with zeros, no parameters; as for CIFAR-10 in He et
    al. 2015, "Deep residual learning for image recognition".

    Attributes:
        depth: 8, 14, 20, 32, 44 or 56.
        width: channels of the first stage; 16 in the paper.
        norm: BatchNorm, or GroupNorm (groups of 8 channels, or of what divides).
        dropout: probability that an input of the last linear layer is dropped in training, in [0, 1).
        dropconnect: probability that a weight of the last linear layer is dropped in training, in [0, 1).
        depth_drop: stochastic depth: probability that the last block's branch is dropped in training, in [0, 1); that
            of block i of L is i/L of it.

    Example:
        >>> ResNet(depth=8).width
        16
    """

    kind: Literal["resnet"] = "resnet"
    depth: Literal[8, 14, 20, 32, 44, 56] = 20
    width: Width = 16
    norm: Literal["batch", "group"] = "batch"
    dropout: Rate = 0.0
    dropconnect: Rate = 0.0
    depth_drop: Rate = 0.0


_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


_DEEPEST = 20  # lists and tables within each other, as in a study file


def _target(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    if not _TARGET.fullmatch(value):
        raise ValueError('must be "package.module:Name"')
    return value


def _args(value: object) -> dict[str, Any]:
    args: dict[str, Any] = read(dict[str, Any], value)
    return {_item(str, key, (key,)): _plain(item, (key,)) for key, item in args.items()}


def _plain(value: Any, keys: tuple[str, ...]) -> Any:
    """A value that TOML has a form for: a study's text, and a run's id, are made of it."""
    if len(keys) > _DEEPEST:
        raise Refused("nested too deeply", None, keys[:1])
    if isinstance(value, str):
        return _item(str, value, keys)
    if isinstance(value, bool | date | time):  # a datetime is a date
        return value
    if isinstance(value, Integral) and abs(int(value)) < 10**4000:  # more digits are not written
        return int(value)
    if isinstance(value, Real) and not isinstance(value, Integral):
        # An id is made of JSON, in which infinity is null; -inf and nan would be the same.
        return math.inf if value == math.inf else _item(float, value, keys)
    if isinstance(value, list | tuple):
        items = [_plain(item, (*keys, str(i))) for i, item in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {_item(str, key, keys): _plain(item, (*keys, key)) for key, item in value.items()}
    raise Refused(
        "must be a text, a number, true or false, a date, a list or a table, not "
        f"{with_article(type(value).__name__)}; in Python, give a functools.partial of the class or function instead",
        value,
        keys,
    )


def _item(kind: type, value: object, keys: tuple[str, ...]) -> Any:
    try:
        return read(kind, value)
    except Refused as fault:
        raise Refused(fault.words, value, keys) from None


class _Targeted(Form):
    """What may name code of the user's."""

    @property
    def trust(self) -> tuple[str, ...] | None:
        """Installed packages all of whose functions may run; None: no code may, since only a store names it.

        It is an argument of whoever runs a study, never a key of a study file nor a part of a run's recipe.
        """
        trust: tuple[str, ...] | None = vars(self).get("_trust", ())
        return trust

    def trusting(self, packages: tuple[str, ...] | None) -> Self:
        """The same, with this `trust`."""
        copy = self.but()
        if packages != ():
            vars(copy)["_trust"] = packages
        return copy


class Module(_Targeted):
    """The user's own module: a class, or a function that returns an `nn.Module`.

    Attributes:
        target: where it is, ``"package.module:Name"``; looked for beside the study file, then in the working
            directory, then among what is installed.
        args: keyword arguments of the class or function.

    Example:
        >>> Module(target="torch.nn:Linear", args={"in_features": 4, "out_features": 3}).target
        'torch.nn:Linear'
    """

    kind: Literal["module"] = "module"
    target: Annotated[str, _target]
    args: Annotated[dict[str, Any], _args] = {}  # noqa: RUF012 (frozen, like all of a form)


LITE0 = "efficientnet-lite0"
BUILTIN = (LITE0,)
"""Architectures that are written here, whose weights a package brings."""
RANDOM = "random"
"""The source of weights that have learned nothing: drawn by a number, the same for all runs."""
_SOURCES = ("builtin", "file", "timm", "hf", RANDOM)
_WHOLE = ("builtin", "timm", "hf")  # those that say the architecture


def _weights(value: object) -> str | None:
    if value is None:
        return None
    source, colon, name = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not colon or source not in _SOURCES or not name.strip() or not name.isprintable():
        raise ValueError(
            f'must be "builtin:{LITE0}", "file:PATH.safetensors", "timm:NAME", "hf:OWNER/NAME@REVISION", "hf:FOLDER" '
            f'or "{RANDOM}:NUMBER"'
        )
    if source == RANDOM and not re.fullmatch(r"[0-9]{1,9}", name):
        raise ValueError(f'must have a number that draws them, such as "{RANDOM}:0"')
    if source == "builtin" and name not in BUILTIN:
        raise ValueError(choices(value, [f"builtin:{each}" for each in BUILTIN]))
    if source == "file" and not name.endswith(".safetensors"):
        raise ValueError("must be a .safetensors file: others may contain code")
    if source == "hf" and re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name):
        raise ValueError(f'must name a revision, "hf:{name}@REVISION"; for a folder write "hf:./{name}"')
    return str(value)


def _architecture(value: object) -> str | None:
    if isinstance(value, str) and value.partition(":")[0] in _WHOLE:
        return _weights(value)
    return None if value is None else _target(value)


class Head(Form):
    """The layers of a backbone that are drawn anew: [dropout, linear, ReLU] for each hidden width, dropout, linear.

    Attributes:
        hidden: widths of the hidden layers; none of them is a linear classifier of the features.
        dropout: probability that an input of one of its linear layers is dropped in training, in [0, 1).

    Example:
        >>> Head(hidden=[64]).dropout
        0.0
    """

    hidden: Annotated[tuple[Width, ...], Limits(longest=1000)] = ()
    dropout: Rate = 0.0


_Mean = tuple[Annotated[float, Limits(least=-1e6, most=1e6)], ...]
_Std = tuple[Annotated[float, Limits(least=1e-6, most=1e6)], ...]
Pixels = Annotated[int, Limits(least=1, most=4096)]


def _means(value: object) -> tuple[float, ...]:
    return _for_channels(read(_Mean, value))


def _deviations(value: object) -> tuple[float, ...]:
    return _for_channels(read(_Std, value))


def _for_channels(numbers: tuple[float, ...]) -> tuple[float, ...]:
    if len(numbers) not in (1, 3):
        raise ValueError(f"must have one number for all channels, or three, not {len(numbers)}")
    return numbers


def _range(value: object) -> tuple[float, float]:
    low, high = read(tuple[float, float], value)
    if not low < high:
        raise ValueError("must have the smaller number first: what 0 becomes, then what 255 becomes")
    return low, high


class Input(Form):
    """How pictures are brought to a backbone, where that is not as its weights say; see `ravine.data.sheet.Sheet`.

    Attributes:
        size: side in pixels, which `data.size` overrides.
        crop: share of the scaled picture's side that is kept, around its middle, in (0, 1].
        resize: "cover": scaled until it covers the square; "squash": both sides are scaled to the square.
        interpolation: how pictures are scaled; always with antialiasing.
        mean, std: of each channel, or one for all, after values were brought to `range`.
        range: what 0 and 255 become before `mean` is taken off.
        channels: their order.
    """

    size: Pixels | None = None
    crop: Annotated[float, Limits(above=0.0, most=1.0)] | None = None
    resize: Literal["cover", "squash"] | None = None
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"] | None = None
    mean: Annotated[tuple[float, ...], _means] | None = None
    std: Annotated[tuple[float, ...], _deviations] | None = None
    range: Annotated[tuple[float, float], _range] | None = None
    channels: Literal["rgb", "bgr"] | None = None


class Backbone(_Targeted):
    """A network that has learned elsewhere, with a head that is drawn anew.

    Attributes:
        weights: where its numbers come from: ``"builtin:efficientnet-lite0"`` (extra `pretrained`),
            ``"file:PATH.safetensors"``, ``"timm:NAME"`` (extra `timm`), ``"hf:OWNER/NAME@REVISION"`` or ``"hf:FOLDER"``
            (extra `hub`); ``"random:NUMBER"``: drawn by that number, the same for all runs, to see what others' weights
            are worth; None: drawn by the run's seed.
        target: its architecture, where the weights don't say it: ``"package.module:Name"`` of one's own,
            ``"timm:NAME"``, ``"hf:..."`` or ``"builtin:efficientnet-lite0"``, which is the default.
        args: keyword arguments of a target, or of timm's.
        cut: name of the module that the head takes the place of; None: the last linear layer.
        head: what takes its place.
        norm: its BatchNorms: "frozen", statistics, scales and shifts stay as they are, in training too; "affine",
            scales and shifts are trained; "adapt", all of them change, as usual.
        input: preprocessing, where it is not as the weights say.

    Example:
        >>> Backbone(weights="builtin:efficientnet-lite0", head={"hidden": [64]}).head
        Head(hidden=(64,), dropout=0.0)
    """

    about_unknown = MappingProxyType({"dropout": "it is the head's, head = { dropout = 0.2 }"})
    kind: Literal["backbone"] = "backbone"
    weights: Annotated[str | None, _weights] = None
    target: Annotated[str | None, _architecture] = None
    args: Annotated[dict[str, Any], _args] = {}  # noqa: RUF012 (frozen, like all of a form)
    cut: Annotated[str, Limits(shortest=1)] | None = None
    head: Head = Head()
    norm: Literal["frozen", "affine", "adapt"] = "frozen"
    input: Input = Input()

    @property
    def is_built_in(self) -> bool:
        """Whether neither code of the user's nor a file is named."""
        named = [each for each in (self.weights, self.target) if each is not None]
        return all(each.startswith(("builtin:", f"{RANDOM}:")) for each in named)

    def check(self) -> None:
        """See that the architecture is known once."""
        super().check()
        if self.weights is None and self.target is None:
            raise ValueError(
                f'needs weights, such as "builtin:{LITE0}", or a target of one\'s own, such as "net:Small"'
            )
        source = (self.weights or "").partition(":")[0]
        if self.target is not None and source in _WHOLE:
            raise ValueError(
                f'target cannot be given beside weights = "{self.weights}", which name their network'
            )
        named = self.weights if source in _WHOLE else self.target
        if self.args and (named is None or named.startswith(("builtin:", "hf:"))):
            raise ValueError("args are those of a target or of timm's")
