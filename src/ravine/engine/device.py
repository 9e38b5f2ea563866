"""The device that a study is trained on."""

from __future__ import annotations

import torch

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
