"""How much memory the machine has for a process, asked without PyTorch."""

from __future__ import annotations

import math
import os
from pathlib import Path


def host_bytes() -> float:
    """Memory that can be had: the machine's, or what a container or a limit of the process leaves of it."""
    free = math.inf
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        free = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            free = float(line.split()[1]) * 1024
    limit = next(iter(_lines("/sys/fs/cgroup/memory.max")), "")
    return max(0.0, min(free, float(limit) if limit.isdigit() else math.inf, _process_limit()))


def _process_limit() -> float:
    """What `ulimit -v` leaves of this process's addresses."""
    try:
        import resource
    except ImportError:  # Windows
        return math.inf
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return math.inf
    used = next(iter(_lines("/proc/self/statm")), "0").split()[0]
    return float(limit - int(used) * resource.getpagesize())


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
