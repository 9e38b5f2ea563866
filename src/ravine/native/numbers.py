"""A traced function of single numbers as a Python function of floats: for a dozen operations, tensors cost too much."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import fx

_WORDS = {
    "add.Tensor": "{0} + {1}",
    "add.Scalar": "{0} + {1}",
    "sub.Tensor": "{0} - {1}",
    "sub.Scalar": "{0} - {1}",
    "rsub.Scalar": "{1} - {0}",
    "rsub.Tensor": "{1} - {0}",
    "mul.Tensor": "{0} * {1}",
    "mul.Scalar": "{0} * {1}",
    "div.Tensor": "{0} / {1}",
    "div.Scalar": "{0} / {1}",
    "neg.default": "-{0}",
    "reciprocal.default": "1.0 / {0}",
    "square.default": "{0} * {0}",
    "pow.Tensor_Scalar": "{0} ** {1}",
    "abs.default": "abs({0})",
    "maximum.default": "max({0}, {1})",
    "sqrt.default": "sqrt({0})",
    "exp.default": "exp({0})",
    "expm1.default": "expm1({0})",
    "log.default": "log({0})",
    "log1p.default": "log1p({0})",
}


def of_floats(graph: fx.GraphModule) -> Callable[..., Sequence[float]] | None:
    """The function in float64; None if one of its operations has no form in Python.

    It raises ZeroDivisionError, ValueError or OverflowError where a tensor would be infinite or NaN.
    """
    lines, names = [], dict[fx.Node, str]()
    arguments: list[str] = []

    def word(value: object) -> str:
        return names[value] if isinstance(value, fx.Node) else repr(float(value))  # type: ignore[arg-type]

    for i, node in enumerate(graph.graph.nodes):
        names[node] = f"v{i}"
        if node.op == "placeholder":
            arguments.append(names[node])
        elif node.op == "get_attr":
            lines.append(f"{names[node]} = {float(getattr(graph, str(node.target)))!r}")
        elif node.op == "output":
            lines.append(f"return ({''.join(f'{word(each)}, ' for each in node.args[0])})")
        else:
            form = _WORDS.get(str(node.target).removeprefix("aten."))
            if form is None or node.kwargs:
                return None
            lines.append(f"{names[node]} = {form.format(*map(word, node.args))}")
    text = f"def function({', '.join(arguments)}):\n" + "".join(f"    {line}\n" for line in lines)
    made: dict[str, Callable[..., Sequence[float]]] = {}
    exec(text, {name: getattr(math, name) for name in ("sqrt", "exp", "expm1", "log", "log1p")}, made)
    return made["function"]


def in_tensors(graph: fx.GraphModule) -> Callable[..., Sequence[float]]:
    """The function carried out by PyTorch, in float64."""

    def function(*numbers: float) -> Sequence[float]:
        return [
            float(value)
            for value in graph(*(torch.tensor(x, dtype=torch.float64, device="cpu") for x in numbers))
        ]

    return function
