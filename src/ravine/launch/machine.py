"""The versions and the hardware that results were made with, as the store records them."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import numpy as np

from ravine.version import version


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers."""
    return {
        "python": platform.python_version(),
        "ravine": version(),
        "torch": version("torch"),
        "numpy": np.__version__,
    }


def hardware(device: str) -> dict[str, str | int]:
    """Processor, cores, memory in GiB and, if one is used, the accelerator."""
    import torch

    found: dict[str, str | int] = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found["memory_gib"] = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    if device == "cuda":
        found["accelerator"] = torch.cuda.get_device_name()
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
