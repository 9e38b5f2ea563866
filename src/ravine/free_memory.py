"""How much memory can be had."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch


def free_bytes(device: torch.device) -> float:
    """How much memory can be had: a GPU's own, else the machine's, or what a container leaves of it."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    free = math.inf
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        free = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            free = float(line.split()[1]) * 1024
    limit = next(iter(_lines(Path("/sys/fs/cgroup/memory.max"))), "")
    return min(free, float(limit)) if limit.isdigit() else free


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
