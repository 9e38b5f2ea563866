"""Why a model's runs cannot be trained at once, in our words: PyTorch's speak of its own insides."""

from __future__ import annotations

import re

from ravine.errors import short
from ravine.native.tensors import Unsupported
from ravine.trace import Untraceable

_LONGEST = 120

# What PyTorch's errors say, and what that means for the model. Names of operators are kept.
_WORDS = (
    (r"calling \.item\(\)", "it turns a tensor into a Python number, with .item() or the like"),
    (r"data-dependent control flow", "its control flow depends on the numbers in a tensor"),
    (
        r"dynamic shape.* over aten::(\w+)",
        r"the shape of the result of aten::\1 depends on the numbers in a tensor",
    ),
    (r"dynamic shape|boolean mask", "the shape of a result depends on the numbers in a tensor"),
    (r"in-?place", "it writes in place into a tensor that is the same for all runs"),
    (r"random operation|randomness", "it draws random numbers itself"),
    (r"rule not implemented for aten::(\w+)", r"aten::\1 is not made for several runs at once"),
    (r"accessing `data`", "it uses .data of a tensor"),
    (r"derivative for '(\w+)' is not implemented", r"aten::\1 has no derivative"),
)


def reason(error: Exception) -> str:
    """What a model does that cannot be done for all runs at once, in half a line.

    Args:
        error: what building or rehearsing a program raised; where it is neither ours nor known, its first line.

    Example:
        >>> reason(RuntimeError("vmap: It looks like you're calling .item() on a Tensor. We don't ..."))
        'it turns a tensor into a Python number, with .item() or the like'
    """
    text = str(error).strip()
    if isinstance(error, Untraceable | Unsupported):
        return text
    if isinstance(error, RuntimeError | NotImplementedError):
        for pattern, words in _WORDS:
            found = re.search(pattern, text)
            if found:
                return found.expand(words)
    first = text.partition("\n")[0].removeprefix("vmap: ") or type(error).__name__
    return short(first, _LONGEST)
