"""Which parameters of a model a phase trains, and what of the model rests meanwhile.

What rests is evaluated: its random layers draw nothing, and its norms normalize by their statistics, which stay as they
are. Membership is by name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from types import MethodType

from torch import nn

from ravine.backbones.assembled import Assembled
from ravine.backbones.blocks import blocks
from ravine.errors import StudyError
from ravine.messages import count, shown
from ravine.nn.norms import BatchNorm
from ravine.study.phases import FROM, MATCH

_NORMS = (BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.modules.instancenorm._InstanceNorm, nn.RMSNorm)
HEAD = "head"  # what the last part of a model is called that has one


def blocks_of(module: nn.Module) -> list[tuple[str, ...]]:
    """The blocks of a model, each as the names of its parameters, the head last.

    Of a backbone they are those of its body (`ravine.backbones.blocks`), of other models their top-level parts: a norm
    belongs to the part before it. The head is the part called so; of a model without one the last part that has
    parameters. Parameters of the model itself belong to the first block.

    Example:
        >>> blocks_of(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2)))
        [('0.weight', '0.bias', '1.weight', '1.bias'), ('3.weight', '3.bias')]
    """
    if isinstance(module, Assembled):
        return [*blocks(module), tuple(name for name, _ in module.head.named_parameters(prefix=HEAD))]
    children = dict(module.named_children())
    parts: dict[str, list[str]] = {}
    part = ""
    for name, _ in module.named_parameters():
        child, dot, _ = name.partition(".")
        if not (dot and part and child != HEAD and isinstance(children[child], _NORMS)):
            part = child if dot else ""
        parts.setdefault(part, []).append(name)
    own = parts.pop("", [])
    head = parts.pop(HEAD, None)
    found = [*parts.values(), *([head] if head is not None else [])]
    if not found:
        return [tuple(own)] if own else []
    return [(*own, *found[0]), *map(tuple, found[1:])]


def trained_names(module: nn.Module, train: str, blocks: Sequence[Collection[str]]) -> tuple[str, ...]:
    """The parameters that a phase trains, in the module's order.

    Args:
        module: the model; a parameter that asks for no gradient is never trained.
        train: as in `ravine.study.phases.Phase`.
        blocks: of the model.

    Raises:
        StudyError: there is no such block, nothing that matches, or nothing before the head.
    """
    names = [name for name, param in module.named_parameters() if param.requires_grad]
    if train == "all":
        return tuple(names)
    if train.startswith(MATCH):
        wanted = {name for name in names if re.search(train.removeprefix(MATCH), name)}
        if not wanted:
            raise StudyError(
                f"phases: train = {shown(train)} matches none of the {count(len(names), 'parameter')} that can be "
                f"trained, such as {', '.join(names[:2])} and {names[-1]}",
                at=[("phases",)],
            )
    else:
        num = len(blocks)
        if num < 2:
            raise StudyError(
                f"phases: train = {shown(train)}: the model is one block, {next(iter(names), '')[:60]!r} and so on; "
                'allowed: all, match:REGEX, or a model whose last part is called "head"',
                at=[("phases",)],
            )
        first = num - 1 if train == "head" else int(train.removeprefix(FROM))
        if first >= num:
            before = "from:0" if num == 2 else f"from:0 to from:{num - 2}"
            raise StudyError(
                f"phases: train = {shown(train)}: the model has {count(num - 1, 'block')} before its head, {before}; "
                f"from:{num - 1} is the head",
                at=[("phases",)],
            )
        wanted = {name for block in blocks[first:] for name in block}
    found = tuple(name for name in names if name in wanted)
    if not found:
        raise StudyError(f"phases: train = {shown(train)}: nothing of it can be trained", at=[("phases",)])
    return found


def depths(blocks: Sequence[Collection[str]]) -> dict[str, int]:
    """How many blocks each parameter is before the head, by name: 0 in the head.

    Example:
        >>> depths([("a.weight",), ("b.weight", "b.bias"), ("head.weight",)])
        {'a.weight': 2, 'b.weight': 1, 'b.bias': 1, 'head.weight': 0}
    """
    return {name: len(blocks) - 1 - i for i, block in enumerate(blocks) for name in block}


def rest(module: nn.Module, trained: Collection[str]) -> None:
    """Let all parts of a model rest in which nothing is trained, whatever mode it is put in from now on.

    A part without parameters belongs to the one after it, which it prepares the input of; the last ones to the one
    before them.

    Args:
        module: changed in place.
        trained: names of the parameters that are trained.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 2))
        >>> rest(net, {"3.weight", "3.bias"})
        >>> [each.training for each in net.train()]
        [False, False, True, True]
    """
    wanted = {id(param) for name, param in module.named_parameters(remove_duplicate=False) if name in trained}
    _rest(module, wanted)


def _rest(module: nn.Module, wanted: Collection[int]) -> None:
    children = list(module.children())
    active = [
        any(id(param) in wanted for param in child.parameters())
        if any(True for _ in child.parameters())
        else None
        for child in children
    ]
    for i, child in enumerate(children):
        state = active[i]
        if state is None:
            state = next((each for each in (*active[i + 1 :], *active[i::-1]) if each is not None), True)
        if not state:
            child.eval()
            child.train = MethodType(_stays, child)  # type: ignore[method-assign]
        elif active[i]:
            _rest(child, wanted)


def _stays(module: nn.Module, mode: bool = True) -> nn.Module:  # noqa: ARG001 (nn.Module's argument)
    return module
