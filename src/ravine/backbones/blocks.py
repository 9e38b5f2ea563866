"""The numbered blocks of a body, from its input on: what `train = "from:5"` and `layer_decay` speak of."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from torch import nn

from ravine.backbones.assembled import Assembled
from ravine.nn.norms import BatchNorm

_LISTS = (nn.Sequential, nn.ModuleList)
_LEVELS = 2  # of lists within each other: stages, and their blocks
_NORMS = (BatchNorm, nn.GroupNorm, nn.LayerNorm)


def blocks(module: Assembled) -> tuple[tuple[str, ...], ...]:
    """The names of the parameters of each block of the body, in order; the first block is the stem.

    A block is an element of a list of modules (`nn.Sequential`, `nn.ModuleList`); where an element is a list itself, or
    has one whose elements are alike (a stage), its elements are blocks. What comes before, between or after lists is a
    block as well: the stem is number 0. In a network without such lists each layer with parameters is a block, with the
    norm that follows it. Parameters that several blocks share belong to the first. Frozen ones are named too.

    Args:
        module: from `assembled`.

    Returns:
        For each block the names of its parameters, `body.` included; each parameter of the body is in one of them. Of
        the last part of a body they are those of the whole.
    """
    if module.numbered:
        return module.numbered
    known: set[int] = set()
    found: list[tuple[str, ...]] = []
    for parts in _parts(module.body):
        names = []
        for name, part in parts:
            for inner, parameter in part.named_parameters(prefix=f"body.{name}".rstrip(".")):
                if id(parameter) not in known:
                    known.add(id(parameter))
                    names.append(inner)
        if names:
            found.append(tuple(names))
    own = [name for name, p in module.body.named_parameters(prefix="body") if id(p) not in known]
    if own:  # of the body itself or of what holds lists, such as the class token of a transformer
        found[:1] = [(*own, *(found[0] if found else ()))]
    return tuple(found)


def hold(module: Assembled, names: Collection[str]) -> Assembled:
    """Keep what a phase does not train as it is in eval mode, whatever `train` says: no dropout, no statistics move.

    Args:
        module: changed in place.
        names: of the parameters that are trained.

    Returns:
        The module.
    """
    owners = {name.rpartition(".")[0] for name in names}
    parts = [(name, part) for name, part in module.named_modules() if f"{name}.".startswith("body.")]
    order = [f"body.{name}".rstrip(".") for name in module.order] or [name for name, _ in parts]
    first = next((i for i, name in enumerate(order) if name in owners), len(order))
    early = set(order[:first])
    held: list[str] = []
    for name, part in parts:
        if any(name.startswith(f"{other}.") for other in held):
            continue
        below = f"{name}."
        idle = not any(f"{owner}.".startswith(below) for owner in owners)
        # What has no numbers of its own, such as dropout, belongs to what comes after it.
        if idle and (next(part.parameters(), None) is not None or name in early):
            held.append(name)
    module.held = tuple(held)
    return module.train(module.training)


def _parts(body: nn.Module) -> Iterator[list[tuple[str, nn.Module]]]:
    """The blocks as named modules."""
    if _expands(body, 0):
        yield from _expanded(body, "", 0)
        return
    group: list[tuple[str, nn.Module]] = []
    for name, layer in body.named_modules():
        if next(layer.parameters(recurse=False), None) is None:
            continue
        if group and not isinstance(layer, _NORMS):
            yield group
            group = []
        group.append((name, layer))
    if group:
        yield group


def _expanded(module: nn.Module, name: str, level: int) -> Iterator[list[tuple[str, nn.Module]]]:
    """The blocks of a module that has lists: those of its lists, and what lies between."""
    between: list[tuple[str, nn.Module]] = []
    inside = isinstance(module, _LISTS)
    for child_name, child in module.named_children():
        full = f"{name}.{child_name}".lstrip(".")
        if _expands(child, level + inside):
            if between:
                yield between
                between = []
            yield from _expanded(child, full, level + inside)
        elif inside:
            yield [(full, child)]
        else:
            between.append((full, child))
    if between:
        yield between


def _expands(module: nn.Module, level: int) -> bool:
    """Whether blocks are to be looked for in a module: in a list, or in what has one.

    Args:
        module: part of a body.
        level: how many lists it is in.
    """
    if level >= _LEVELS:
        return False
    if isinstance(module, _LISTS):
        return any(map(_is_composed, module.children()))
    lists = [list(each.children()) for each in module.modules() if isinstance(each, _LISTS)]
    return any(any(map(_is_composed, each)) and (level == 0 or _are_blocks(each)) for each in lists)


def _are_blocks(parts: Sequence[nn.Module]) -> bool:
    """Whether the elements of a list within an element of another are blocks, and no layers of a block."""
    return len({type(each) for each in parts}) == 1 and not isinstance(parts[0], _LISTS)


def _is_composed(module: nn.Module) -> bool:
    return next(module.children(), None) is not None and next(module.parameters(), None) is not None
