"""PyTorch's random layers, replaced by ravine's: the same functions, but with draws that can be keyed."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from ravine.nn.alpha import AlphaDropout
from ravine.nn.attention import KeyedAttention
from ravine.nn.dropout import Dropout


class Pictures(Dropout):
    """A `torch.nn.Dropout2d` of pictures; of inputs of other dimensions torch's drops something else."""

    def _kept(self, x: Tensor, key: Tensor) -> Tensor:
        if x.dim() != 4:
            instead = {2: "nn.Dropout", 3: "nn.Dropout1d", 5: "nn.Dropout3d"}.get(x.dim())
            same = f"; {instead} drops what it would drop of that" if instead else ""
            raise ValueError(
                f"nn.Dropout2d: needs an input (B, C, H, W), not of shape {tuple(x.shape)}{same}"
            )
        return super()._kept(x, key)


# Of each class, ours with the same rate; and how many trailing dimensions of the batched input share one draw.
_OURS: dict[type[nn.Module], Callable[[float], nn.Module]] = {
    nn.Dropout: Dropout,
    nn.Dropout1d: lambda rate: Dropout(rate, 1),
    nn.Dropout2d: lambda rate: Pictures(rate, 2),
    nn.Dropout3d: lambda rate: Dropout(rate, 3),
    nn.AlphaDropout: AlphaDropout,
    nn.FeatureAlphaDropout: lambda rate: AlphaDropout(rate, features=True),
}
_LATER = (nn.AlphaDropout, nn.FeatureAlphaDropout)
_FIRST = tuple(kind for kind in _OURS if kind not in _LATER)


def keyed(module: nn.Module, *, rates: bool = True) -> nn.Module:
    """Replace torch's dropout layers by ours, in place: the same function, but with masks that can be keyed.

    `nn.Dropout`, `Dropout1d`, `Dropout2d`, `Dropout3d`, `AlphaDropout` and `FeatureAlphaDropout` keep their probability
    and their place in the tree, so the names of parameters stay the same; those that drop channels then need an input
    with a batch dimension. `nn.MultiheadAttention` with dropout gets a layer for it. Exactly these classes: a subclass
    may do anything.

    Args:
        module: any module; changed in place unless it is itself a dropout layer.
        rates: whether the rates are wanted of all of these. False: only those of the first four are replaced, as in
            studies that give no rates: what others draw is then keyed from outside, one run after another, as it was
            before there were rates of theirs.

    Returns:
        The module, or its replacement.

    Example:
        >>> keyed(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.3)))[1]
        Dropout(rate=0.3)
    """
    return _replaced(module, {}, rates)


def would_be_keyed(module: nn.Module) -> list[str]:
    """The names of layers that are replaced only where a study gives rates.

    Example:
        >>> would_be_keyed(keyed(nn.Sequential(nn.AlphaDropout(0.1), nn.Dropout(0.1)), rates=False))
        ['0']
    """
    return [
        name
        for name, each in module.named_modules()
        if type(each) in _LATER or (type(each) is nn.MultiheadAttention and each.dropout)
    ]


def _replaced(module: nn.Module, done: dict[nn.Module, nn.Module], rates: bool) -> nn.Module:
    """A module used in several places stays one module: `done` remembers what became of it."""
    if module in done:
        return done[module]
    kind = type(module)
    if kind in _FIRST or (rates and kind in _LATER):
        done[module] = _OURS[kind](float(module.p)).train(module.training)  # type: ignore[arg-type]
        return done[module]
    done[module] = module
    for name, child in list(module._modules.items()):
        if child is not None:
            module._modules[name] = _replaced(child, done, rates)
    if rates and kind is nn.MultiheadAttention and module.dropout:
        KeyedAttention.of(module)  # type: ignore[arg-type]
    return module
