"""An elementwise function of lists of tensors, by PyTorch's `_foreach` kernels.

On a GPU, a hundred calls for a hundred tensors would wait for the processor; each of these kernels takes a whole list.
Memory is reused: a parameter or a slot is overwritten by its new value, and intermediate results by later ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import torch
from torch import Tensor, fx

from ravine.native.split import Split

_PORTION = 1 << 20  # numbers processed at a time on a CPU: more of them leave the caches

# The name of the kernel, by operation and by which of its arguments are vectors (V) and which are numbers (0).
_WORDS = {
    ("add.Tensor", "V0"): "add", ("sub.Tensor", "V0"): "sub", ("mul.Tensor", "VV"): "mul", ("mul.Tensor", "V0"): "mul",
    ("div.Tensor", "VV"): "div", ("div.Tensor", "V0"): "div", ("lerp.Tensor", "VV0"): "lerp",
    ("addcmul.default", "VVV"): "addcmul", ("sqrt.default", "V"): "sqrt", ("sign.default", "V"): "sign",
    ("abs.default", "V"): "abs", ("neg.default", "V"): "neg",
}  # fmt: skip

Call: TypeAlias = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function with its arguments: nodes, and known numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kernel:
    """How a value is computed.

    Args:
        fresh: the call that makes new tensors; without other forms, these may be views of its arguments.
        over: the calls that overwrite their first argument.
    """

    fresh: Call
    over: Sequence[Call] = ()

    @property
    def inputs(self) -> tuple[fx.Node, ...]:
        """The nodes that it is computed from."""
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
            """Calls for a value that overwrite an argument that is not needed afterwards."""
            for function, args in kernels[node].over if node in kernels else ():
                if last[args[0]] is node and args.count(args[0]) == 1 and allowed(args[0]):
                    yield function, args

        def growth(start: fx.Node, node: fx.Node) -> dict[fx.Node, Call] | None:
            """Calls that compute a value in the memory of another one; None: there are none."""
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
        made = {node for node, kernel in kernels.items() if kernel.over}  # in memory of their own
        steps = {}
        for node, kernel in kernels.items():
            ours = chosen.get(node) or next(over(node, made.__contains__), None)
            done = {each for each in kernel.inputs if last[each] is node and each in kernels}
            steps[node] = (ours or kernel.fresh, ours is not None, done)
        # A single kernel reads nothing twice, so it need not fit into the caches.
        self._at_once = _PORTION if len(steps) > 1 else math.inf
        self._do = _in_python([*own, *numbers], steps, copies)

    def __call__(
        self, vectors: Mapping[str, Sequence[Tensor]], numbers: Mapping[str, float]
    ) -> dict[str, float]:
        """Evaluate it; the tensors are changed in place.

        Args:
            vectors: by name, equally many tensors each.
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
        inputs: the arguments of the function.
        steps: for each value its call, whether that overwrites its first argument, and the values that are not needed
            afterwards.
        copies: pairs of a tensor to write at the end, and its new value.
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
    # Old values are saved first: new ones are going to overwrite them.
    old = {node: f"old_{names[node]}" for _, node in copies if node not in steps}
    lines += [f"{name} = kept({names[node]})" for node, name in old.items()]
    lines += [f"copy({names[target]}, {old.get(node, names[node])})" for target, node in copies]
    text = f"def do({', '.join(names[node] for node in inputs)}):\n" + "".join(
        f"    {line}\n" for line in lines
    )
    exec(text, known)
    return known["do"]  # type: ignore[no-any-return]


def _kernels(calls: Sequence[fx.Node]) -> dict[fx.Node, _Kernel]:
    """How each value is computed, except for those that are computed within another one's kernel."""
    found: dict[fx.Node, _Kernel] = {}

    def part(vector: Any, word: Callable[..., Any], form: str) -> Any:
        """The arguments of a value of this form, which is no longer computed itself; None if it is needed elsewhere."""
        function, args = found[vector].fresh if vector in found else (None, ())
        if function is not word or _form(args) != form or len(vector.users) > 1:
            return None
        del found[vector]
        return args

    def scaled(vector: Any) -> tuple[Any, Any]:
        """The vector and the number whose product it is; itself and 1 if it is none."""
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
    """An operation without a kernel for lists: tensor by tensor, with numbers as 0-d tensors, which suit any device."""
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
    """Lists of tensors, a portion at a time: on a CPU, what is computed from a portion stays in the caches.

    Args:
        lists: equally many tensors in each.
        most: numbers in a portion, at most, unless one piece has more.

    Yields:
        For each list the pieces of the next portion.
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
