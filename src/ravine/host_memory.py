"""How much memory this process can get, found out without PyTorch."""

from __future__ import annotations

import math
import os
from pathlib import Path


def host_bytes() -> float:
    """Memory that is available, in bytes: the machine's, or less where a container or `ulimit -v` limits it."""
    free = math.inf
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        free = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            free = float(line.split()[1]) * 1024
    limit = next(iter(_lines("/sys/fs/cgroup/memory.max")), "")
    return max(0.0, min(free, float(limit) if limit.isdigit() else math.inf, _process_limit()))


def _process_limit() -> float:
    """Bytes of address space that `ulimit -v` leaves this process."""
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
