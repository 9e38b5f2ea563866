"""A function of the numbers at one place, at all places of lists of tensors, by PyTorch's `_foreach` kernels.

On a GPU a call for each of a hundred tensors would wait for the processor; these kernels take a whole list. What is not
needed any more is written over: a parameter or a slot by its new value, and what was computed on the way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import torch
from torch import Tensor, fx

from ravine.native.split import Split

_PORTION = 1 << 20  # numbers that are taken at a time, in a processor's memory

# By operation and which of its arguments are vectors (V) and which numbers (0): the word in PyTorch's names.
_WORDS = {
    ("add.Tensor", "V0"): "add", ("sub.Tensor", "V0"): "sub", ("mul.Tensor", "VV"): "mul", ("mul.Tensor", "V0"): "mul",
    ("div.Tensor", "VV"): "div", ("div.Tensor", "V0"): "div", ("lerp.Tensor", "VV0"): "lerp",
    ("addcmul.default", "VVV"): "addcmul", ("sqrt.default", "V"): "sqrt", ("sign.default", "V"): "sign",
    ("abs.default", "V"): "abs", ("neg.default", "V"): "neg",
}  # fmt: skip

Call: TypeAlias = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function with its arguments: nodes, and numbers that are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kernel:
    """How a value is computed.

    Args:
        fresh: into new tensors; without other forms, perhaps into parts of its arguments.
        over: forms that write over their first argument.
    """

    fresh: Call
    over: Sequence[Call] = ()

    @property
    def inputs(self) -> tuple[fx.Node, ...]:
        """What it is computed from."""
        return tuple(arg for arg in self.fresh[1] if isinstance(arg, fx.Node))


@final
class OverLists:
    """A function that goes over lists of tensors of any dtype, on any device.

    Args:
        program: the function.
    """

    def __init__(self, program: Split) -> None:
        self._program = program
        nodes = list(program.over.nodes)
        num = len(program.vectors)
        own, numbers = nodes[:num], nodes[num : num + program.num_used]
        *calls, output = nodes[num + program.num_used :]
        kernels = _kernels(calls)
        last = {node: user for user, kernel in kernels.items() for node in kernel.inputs}
        last.update(dict.fromkeys(output.all_input_nodes, output))

        def over(node: fx.Node, allowed: Callable[[fx.Node], bool]) -> Iterator[Call]:
            """Calls for a value that write over something that nobody needs afterwards."""
            for function, args in kernels[node].over if node in kernels else ():
                if last[args[0]] is node and args.count(args[0]) == 1 and allowed(args[0]):
                    yield function, args

        def growth(start: fx.Node, node: fx.Node) -> dict[fx.Node, Call] | None:
            """Calls by which a value comes to stand where another one was; None: there are none."""
            if node is start:
                return {}
            for call in over(node, lambda _first: True):
                before = growth(start, call[1][0])
                if before is not None:
                    return {**before, node: call}
            return None

        places = dict(zip(program.vectors, own, strict=True))
        chosen: dict[fx.Node, Call] = {}
        copies: list[tuple[fx.Node, fx.Node]] = []
        for name, node in zip(program.written, output.args[0], strict=True):
            grown = growth(places[name], node)
            if grown is None or grown.keys() & chosen.keys():
                copies.append((places[name], node))
            else:
                chosen.update(grown)
        made = {node for node, kernel in kernels.items() if kernel.over}  # nothing else stands where they do
        steps = {}
        for node, kernel in kernels.items():
            ours = chosen.get(node) or next(over(node, made.__contains__), None)
            done = {each for each in kernel.inputs if last[each] is node and each in kernels}
            steps[node] = (ours or kernel.fresh, ours is not None, done)
        # A single kernel reads nothing a second time.
        self._at_once = _PORTION if len(steps) > 1 else math.inf
        self._do = _in_python([*own, *numbers], steps, copies)

    def __call__(
        self, vectors: Mapping[str, Sequence[Tensor]], numbers: Mapping[str, float]
    ) -> dict[str, float]:
        """Carry it out; the tensors are changed in place.

        Args:
            vectors: equally many tensors of each name.
            numbers: by name.

        Returns:
            New numbers, by name.
        """
        used, new = self._program.numbers(numbers)
        for lists in _portions([vectors[name] for name in self._program.vectors], self._at_once):
            self._do(*lists, *used)
        return new


def _in_python(
    inputs: Sequence[fx.Node],
    steps: Mapping[fx.Node, tuple[Call, bool, set[fx.Node]]],
    copies: Sequence[tuple[fx.Node, fx.Node]],
) -> Callable[..., None]:
    """A function that makes the calls, one after another.

    Args:
        inputs: its arguments.
        steps: for each value the call, whether that writes over its first argument, and what nobody needs afterwards.
        copies: what is written at the end, and its new values.
    """
    names = {node: f"v{i}" for i, node in enumerate([*inputs, *steps])}
    known: dict[str, Any] = {
        "copy": torch._foreach_copy_,
        "kept": lambda tensors: [tensor.clone() for tensor in tensors],
    }
    lines = []
    for node, ((function, args), writes_over, done) in steps.items():
        name = names[node]
        known[f"f_{name}"] = function
        words = [names[arg] if isinstance(arg, fx.Node) else repr(arg) for arg in args]
        call = f"f_{name}({', '.join(words)})"
        lines.append(f"{call}; {name} = {words[0]}" if writes_over else f"{name} = {call}")
        lines += [f"del {names[each]}" for each in done]
    # Old values are kept first: they stand where new ones are going to be.
    old = {node: f"old_{names[node]}" for _, node in copies if node not in steps}
    lines += [f"{name} = kept({names[node]})" for node, name in old.items()]
    lines += [f"copy({names[target]}, {old.get(node, names[node])})" for target, node in copies]
    text = f"def do({', '.join(names[node] for node in inputs)}):\n" + "".join(
        f"    {line}\n" for line in lines
    )
    exec(text, known)
    return known["do"]  # type: ignore[no-any-return]


def _kernels(calls: Sequence[fx.Node]) -> dict[fx.Node, _Kernel]:
    """How each value is computed that is not a part of another's computation."""
    found: dict[fx.Node, _Kernel] = {}

    def part(vector: Any, word: Callable[..., Any], form: str) -> Any:
        """The arguments of such an operation, which then has no kernel; None where its value is needed elsewhere."""
        function, args = found[vector].fresh if vector in found else (None, ())
        if function is not word or _form(args) != form or len(vector.users) > 1:
            return None
        del found[vector]
        return args

    def scaled(vector: Any) -> tuple[Any, Any]:
        """A vector and a number whose product it is."""
        return part(vector, torch._foreach_mul, "V0") or (vector, 1.0)

    for node in calls:
        name: str = str(node.target).removeprefix("aten.")
        args: tuple[Any, ...] = node.args
        if name == "pow.Tensor_Scalar" and args[1] == 2:
            name, args = "mul.Tensor", (args[0], args[0])
        form = "" if node.kwargs else _form(args)
        if (name, form) in (("add.Tensor", "0V"), ("mul.Tensor", "0V"), ("addcmul.default", "V0V")):
            form, args = _form((*args[:-2], args[-1], args[-2])), (*args[:-2], args[-1], args[-2])
        if (name, form) == ("add.Tensor", "VV") and args[0] is not args[1]:
            quotient = part(args[1], torch._foreach_div, "VV")
            if quotient is not None:
                above, scale = scaled(quotient[0])
                args = (args[0], above, quotient[1], scale)
                found[node] = _of_word("addcdiv", args)
            else:
                found[node] = _sum(*scaled(args[0]), *scaled(args[1]))
        elif (name, form) == ("sub.Tensor", "VV"):
            found[node] = _sum(args[0], 1.0, args[1], -1.0)
        elif (name, form) == ("addcmul.default", "VV0") and args[0] is not args[1]:
            found[node] = _sum(*scaled(args[0]), args[1], args[2])
        elif (name, form) in _WORDS:
            found[node] = _of_word(_WORDS[name, form], args)
        else:
            found[node] = _Kernel(fresh=(_one_by_one(node), node.args))
    return found


def _form(args: Sequence[object]) -> str:
    return "".join("V" if isinstance(arg, fx.Node) and arg.meta["tensor"][0] != () else "0" for arg in args)


def _of_word(word: str, args: tuple[Any, ...]) -> _Kernel:
    fresh, over = getattr(torch, f"_foreach_{word}"), getattr(torch, f"_foreach_{word}_")
    return _Kernel(fresh=(fresh, args), over=[(over, args)])


def _sum(first: fx.Node, scale: Any, second: fx.Node, other: Any) -> _Kernel:
    """``scale * first + other * second``."""
    forms = (first, scale, second, other), (second, other, first, scale)
    return _Kernel(fresh=(_weighted, forms[0]), over=[(_weighted_over, args) for args in forms])


def _weighted(first: list[Tensor], scale: float, second: list[Tensor], other: float) -> Sequence[Tensor]:
    if scale == 1.0:
        return torch._foreach_add(first, second, alpha=other)
    if other == 1.0:
        return torch._foreach_add(second, first, alpha=scale)
    made = torch._foreach_mul(first, scale)
    torch._foreach_add_(made, second, alpha=other)
    return made


def _weighted_over(first: list[Tensor], scale: float, second: list[Tensor], other: float) -> None:
    if scale != 1.0:
        torch._foreach_mul_(first, scale)
    torch._foreach_add_(first, second, alpha=other)


def _one_by_one(node: fx.Node) -> Callable[..., list[Tensor]]:
    """What there is no kernel for that takes a list: numbers are 0-d tensors, which go together with any device."""
    numbers = [isinstance(arg, fx.Node) and arg.meta["tensor"][0] == () for arg in node.args]

    def function(*args: Any) -> list[Tensor]:
        given = [
            torch.tensor(arg, dtype=torch.float64, device="cpu") if number else arg
            for arg, number in zip(args, numbers, strict=True)
        ]
        length = next(len(arg) for arg in given if isinstance(arg, list | tuple))
        return [
            node.target(*(arg[i] if isinstance(arg, list | tuple) else arg for arg in given), **node.kwargs)  # type: ignore[operator]
            for i in range(length)
        ]

    return function


def _portions(lists: Sequence[Sequence[Tensor]], most: float) -> Iterator[list[list[Tensor]]]:
    """Lists of tensors, a portion of each at a time: on a processor what is computed of it stays in the caches.

    Args:
        lists: equally many tensors in each.
        most: numbers of a portion.
    """
    if sum(map(torch.numel, lists[0])) <= most or not all(
        tensor.is_contiguous() and tensor.device.type == "cpu" for tensors in lists for tensor in tensors
    ):
        yield [list(tensors) for tensors in lists]
        return
    cut = [[piece for tensor in tensors for piece in tensor.view(-1).split(int(most))] for tensors in lists]
    start, total = 0, 0
    for end, piece in enumerate(cut[0]):
        total += piece.numel()
        if end > start and total > most:
            yield [pieces[start:end] for pieces in cut]
            start, total = end, piece.numel()
    yield [pieces[start:] for pieces in cut]
