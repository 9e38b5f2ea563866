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

    A module may change a buffer in place (BatchNorm's statistics) or assign a new one; f returns it either way. The
    gradients of tied weights are summed. f is written for one run, and works inside `torch.func.vmap` and `grad`.

    `functional_call` can tie weights itself, but where a whole module has two names it leaves the tensors of
    the call behind in the module (seen in torch 2.13); so the other names of a weight are found here, once.

    Args:
        module: has the code and the mode; its own tensors are used for names that are in neither dict.

    Returns:
        f, with the names of `module.named_parameters()` and `module.named_buffers()`. It must be given all buffers
        that the pass may change.

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
    """For tensors that several modules share: each further name, and the name under which PyTorch lists the tensor."""
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
    """Within it, attention has a kernel that vmap can batch, and vmap does not warn of slow loops.

    On a CPU scaled_dot_product_attention chooses a kernel that vmap would run in a loop, one run at a time;
    here it is composed of plain operators. The loops that remain (LSTM, weight norm) are as slow as one run
    after another; the planner finds that out by trying.

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
