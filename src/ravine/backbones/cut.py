"""Where a network is cut, so that a new head takes the place of its last layer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

import torch
from torch import Tensor, nn

from ravine.errors import ModelError, in_a_line, nearest, raised_at, short
from ravine.messages import count, shown
from ravine.nn.example import example_pass

_DIMENSIONS = (2, 3, 4)
_FEW = 5  # modules that an error names


class Reached(Exception):
    """A pass has come to the cut.

    Args:
        x: what the module at the cut would be given.
    """

    def __init__(self, x: Tensor) -> None:
        super().__init__("the cut was reached")
        self.x = x


class End(nn.Module):
    """In the place of the module at the cut where others come after it."""

    def forward(self, x: Tensor) -> Tensor:
        """Ends the pass."""
        raise Reached(x)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Where the head goes.

    Args:
        name: of the module that it takes the place of.
        width: D, how many features it is given.
        last: whether nothing comes after it.
        idle: modules that no pass to the cut needs.
        order: the names of modules in the order in which a pass calls them.
        tiny: the name of the first convolution before it whose maps are 1 x 1 while its input's are not; "" where none
            is.
    """

    name: str
    width: int
    last: bool
    idle: tuple[str, ...]
    order: tuple[str, ...]
    tiny: str = ""

    def applied(self, net: nn.Module) -> nn.Module:
        """The network up to the cut, in place."""
        for name in self.idle:
            _put(net, name, nn.Identity())
        return _put(net, self.name, nn.Identity() if self.last else End())


def find_cut(net: nn.Module, name: str | None, input_shape: tuple[int, ...]) -> Cut:
    """Where a network is cut.

    Args:
        net: in eval mode; its numbers don't matter.
        name: of a module; None: the last linear layer of a pass.
        input_shape: of one example.

    Raises:
        ModelError: there is no such module, no pass comes to it, or a pass fails.
    """
    modules = dict(net.named_modules())
    if name is not None and (name not in modules or not name):
        raise ModelError(
            f"model.cut = {shown(name)}: {type(net).__name__} has no such module; {_near(name, modules)}"
        )
    _check_channels(net, input_shape)
    called: list[str] = []
    inputs: dict[str, list[object]] = {}
    hooks = []
    for each, module in modules.items():

        def note(_: nn.Module, args: tuple[object, ...], each: str = each) -> None:
            called.append(each)
            inputs.setdefault(each, []).append(args[0] if args else None)

        hooks.append(module.register_forward_pre_hook(note))
    tiny: list[str] = []
    returned: dict[str, object] = {}  # by linear layers
    for each, module in modules.items():

        def look(layer: nn.Module, args: tuple[object, ...], y: object, each: str = each) -> None:
            if isinstance(layer, nn.Conv2d) and _shrinks(layer, args[0], y):
                tiny.append(each)
            if type(layer) is nn.Linear:
                returned[each] = y

        hooks.append(module.register_forward_hook(look))
    try:
        whole = _pass(net, input_shape)
    finally:
        for hook in hooks:
            hook.remove()
    if name is None:
        linear = [each for each in called if isinstance(modules[each], nn.Linear)]
        if not linear:
            last = [each for each in dict.fromkeys(called) if each][-_FEW:]
            such = f"; name a module: a pass ends with {', '.join(last)}" if last else ""
            raise ModelError(
                f"model.cut: missing: {type(net).__name__} has no linear layer that the head could take the place of"
                f"{such}"
            )
        name = linear[-1]
    given = inputs.get(name, [])
    if len(given) != 1:
        times = "never called" if not given else f"called {len(given)} times"
        raise ModelError(f"model.cut = {shown(name)}: is {times} in a pass; it must be called once")
    x = given[0]
    if not isinstance(x, Tensor) or x.dim() not in _DIMENSIONS or x.shape[0] != 2:
        what = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ModelError(
            f"model.cut = {shown(name)}: is given {what} for two examples; a head needs (2, features), a map "
            "(2, channels, height, width) or tokens (2, number, features)"
        )
    # What a layer has just made, and nobody has changed since, is returned: so would be what it is given.
    as_made = isinstance(whole, Tensor) and whole is returned.get(name) and whole._version == 0
    width = x.shape[1] if x.dim() == 4 else x.shape[-1]
    before = set(called[: called.index(name)])
    # A layer that others use without calling it (a projection of an attention) is no layer that comes after the cut.
    after = set(called[called.index(name) + 1 :]) - before
    idle = tuple(each for each in after if _alone(each, name) and not _above(each, after))
    return Cut(
        name=name,
        width=width,
        last=as_made or _ends(net, name, input_shape, x),
        idle=idle,
        order=tuple(dict.fromkeys(called)),
        tiny=next((each for each in tiny if each in before), ""),
    )


def _near(name: str, modules: Iterable[str]) -> str:
    """What a module might be called, for people: some networks have hundreds.

    Example:
        >>> print(_near("conv1", ["", *"abcd", "convl", "conv2", "fc"]))
        did you mean 'convl'? It has 7 modules, and the nearest names are convl, conv2, c, fc, d
    """
    names = [each for each in modules if each]
    near = nearest(name, names)
    asked = f"did you mean {near!r}? It has" if near else "it has"
    few = [short(each) for each in get_close_matches(name, names, _FEW, cutoff=0.0)]
    if len(names) <= _FEW:
        return f"{asked} {', '.join(names)}"
    return f"{asked} {count(len(names), 'module')}, and the nearest names are {', '.join(few)}"


def _shrinks(layer: nn.Conv2d, x: object, y: object) -> bool:
    """Whether a convolution with padding makes a map of one place out of a larger one: it sees mostly padding."""
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        return False
    whole = all(kernel == side for kernel, side in zip(layer.kernel_size, x.shape[-2:], strict=True))
    return tuple(y.shape[-2:]) == (1, 1) and tuple(x.shape[-2:]) != (1, 1) and not whole


def _alone(each: str, cut: str) -> bool:
    """Whether a module has nothing to do with the cut: it is neither above it nor below."""
    return not f"{cut}.".startswith(f"{each}.") and not each.startswith(f"{cut}.")


def _above(each: str, others: set[str]) -> bool:
    """Whether a module lies in one of the others."""
    return any(each.startswith(f"{other}.") for other in others)


def _ends(net: nn.Module, name: str, input_shape: tuple[int, ...], x: Tensor) -> bool:
    """Whether what the module at the cut is given is what the network would return without it."""
    whole = net.get_submodule(name)
    try:
        _put(net, name, nn.Identity())
        without = _pass(net, input_shape)
    except ModelError:  # what comes after it needs its shape
        return False
    finally:
        _put(net, name, whole)
    return isinstance(without, Tensor) and without.shape == x.shape and torch.equal(without, x)


def _put(net: nn.Module, name: str, module: nn.Module) -> nn.Module:
    above, _, last = name.rpartition(".")
    setattr(net.get_submodule(above), last, module)
    return net


def _pass(net: nn.Module, input_shape: tuple[int, ...]) -> object:
    try:
        return example_pass(net, input_shape, training=False)
    except Exception as error:  # noqa: BLE001 (whatever a module of the user's raises)
        if len(input_shape) != 3 and any(isinstance(each, nn.Conv2d) for each in net.modules()):
            rows = f"rows of {count(input_shape[0], 'number')}"
            what = rows if len(input_shape) == 1 else f"arrays of shape {input_shape}"
            raise ModelError(
                f"model: the examples are {what}; {type(net).__name__} has convolutions, which take pictures"
            ) from None
        shape = (2, *input_shape)
        raise ModelError(
            f"model: {type(net).__name__} fails on an input of shape {shape}: {in_a_line(error)}{raised_at(error)}"
        ) from None


def _check_channels(net: nn.Module, input_shape: tuple[int, ...]) -> None:
    """Refuse pictures with other channels than the first convolution has."""
    first = next((each for each in net.modules() if isinstance(each, nn.Conv2d)), None)
    if first is None or len(input_shape) != 3 or input_shape[0] == first.in_channels:
        return
    have, wanted = input_shape[0], first.in_channels
    what = {
        (
            1,
            3,
        ): "the pictures are grey, the network wants colours: with model.input, such as input = { mean = [0.5], "
        "std = [0.5] }, they are read with three channels alike",
        (
            3,
            1,
        ): "the pictures have three channels, the network wants one: let a network of your own take their mean "
        "first, x.mean(1, keepdim=True)",
    }.get((have, wanted), f"the pictures have {have} channels, the network wants {wanted}")
    raise ModelError(f"model: {what}")
