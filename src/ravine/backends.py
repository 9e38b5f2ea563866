"""Devices and backends by name: a wrong one is refused before PyTorch is imported."""

from __future__ import annotations

from typing import Literal, get_args

from ravine.errors import InputError
from ravine.messages import one_of, shown

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
BackendName = Literal["auto", "native", "fused", "compiled", "serial"]

_DEVICES: tuple[str, ...] = get_args(DeviceName)
_BACKENDS: tuple[str, ...] = get_args(BackendName)


def check_device(name: str) -> None:
    """Refuse an unknown name of a device. Whether this machine has the device is checked by `engine.device`.

    Raises:
        InputError: an unknown name.
    """
    if not isinstance(name, str) or name not in _DEVICES:
        raise InputError(f"device = {shown(name)}: must be one of {', '.join(_DEVICES)}")


def check_backend(name: str) -> None:
    """Refuse an unknown name of a backend.

    Raises:
        InputError: an unknown name.
    """
    one_of("backend", name, _BACKENDS)
