"""The device that a study is trained on."""

from __future__ import annotations

import torch
from torch import nn

from ravine.backends import check_device
from ravine.errors import InputError


def find_device(choice: str = "auto") -> torch.device:
    """The device of a choice; "auto" takes CUDA if it is there, and the CPU if not.

    Raises:
        InputError: an unknown choice, or a device that this machine does not have.

    Example:
        >>> find_device("cpu")
        device(type='cpu')
    """
    check_device(choice)
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if choice == "auto":
        return torch.device("cuda" if there["cuda"] else "cpu")
    if not there[choice]:
        found = ", ".join(name for name, is_there in there.items() if is_there)
        raise InputError(
            f"device = {choice!r}: PyTorch {torch.__version__} finds no such device here; it finds {found}"
        )
    return torch.device(choice)


def moved(module: nn.Module, device: torch.device) -> nn.Module:
    """A module on a device.

    Raises:
        InputError: the module is in float64, and the device has no such numbers.

    Example:
        >>> moved(nn.Linear(1, 1), torch.device("cpu"))
        Linear(in_features=1, out_features=1, bias=True)
    """
    if device.type == "mps" and any(param.dtype == torch.float64 for param in module.parameters()):
        name = type(module).__name__
        raise InputError(f"device = 'mps': it has no float64, which {name} is in; allowed here: cpu")
    return module.to(device)
