"""A module as a pure function of its parameters and buffers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from warnings import catch_warnings, filterwarnings

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

Pure = Callable[[Mapping[str, Tensor], Mapping[str, Tensor], Tensor], tuple[Tensor, dict[str, Tensor]]]


def as_function(module: nn.Module) -> Pure:
    """f(parameters, buffers, x) -> (output, buffers after the pass), with nothing changed in place.

    A module may change a buffer in place (BatchNorm's statistics) or assign it anew; both are seen. Tied
    weights get their gradients summed. f works inside `torch.func.vmap` and `grad`, written as for one run.

    `functional_call` can tie weights itself, but where a whole module has two names it leaves the tensors of
    the call behind in the module (seen in torch 2.13); so the other names of a weight are found here, once.

    Args:
        module: gives the code and the mode; its own tensors serve where a name is in neither dict.

    Returns:
        f, whose names are those of `module.named_parameters()` and `module.named_buffers()`. All buffers that
        the pass may change must be given to it.

    Example:
        >>> import torch
        >>> norm = nn.BatchNorm1d(2)
        >>> f = as_function(norm)
        >>> _, after = f(dict(norm.named_parameters()), dict(norm.named_buffers()), torch.ones(4, 2))
        >>> after["num_batches_tracked"].item(), norm.num_batches_tracked.item()
        (1, 0)
    """
    other_names = _other_names(module)

    def f(
        params: Mapping[str, Tensor], buffers: Mapping[str, Tensor], x: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        tensors = {**params, **{name: b.clone() for name, b in buffers.items()}}
        for other, name in other_names.items():
            if name in tensors:
                tensors[other] = tensors[name]
        output: Tensor = functional_call(module, tensors, (x,), tie_weights=False)
        return output, {name: tensors[name] for name in buffers}

    return f


def _other_names(module: nn.Module) -> dict[str, str]:
    """For each tensor held by several modules: its further names, and the one under which it is listed."""
    first: dict[Tensor, str] = {}
    others: dict[str, str] = {}
    for prefix, m in module.named_modules():  # each module once, under its first name
        for name, tensor in (*m._parameters.items(), *m._buffers.items()):
            if tensor is None:
                continue
            full = f"{prefix}.{name}" if prefix else name
            if first.setdefault(tensor, full) != full:
                others[full] = first[tensor]
    return others


@contextmanager
def batched_kernels() -> Iterator[None]:
    """Within it, vmap meets only attention that it can batch, and its warnings of slow loops are off.

    On a CPU scaled_dot_product_attention chooses a kernel that vmap would run in a loop, one run at a time;
    here it is composed of plain operators. The loops that remain (LSTM, weight norm) are as slow as one run
    after another, which the planner's probe finds out.

    Example:
        >>> import torch
        >>> with batched_kernels():
        ...     y = torch.func.vmap(nn.functional.scaled_dot_product_attention)(*torch.ones(3, 2, 1, 2, 4, 4))
        >>> y.shape
        torch.Size([2, 1, 2, 4, 4])
    """
    with catch_warnings(), sdpa_kernel(SDPBackend.MATH):
        filterwarnings("ignore", message="There is a performance drop because we have not yet implemented")
        yield
