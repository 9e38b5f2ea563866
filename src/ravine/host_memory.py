"""How much memory this process can get, found out without PyTorch."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

from ravine.errors import InputError

# Bytes of address space, of which far fewer become memory. A small study takes 770 million beyond what NumPy and the
# study took before, with convolutions 950 million (PyTorch 2, Linux, one thread or two).
_PYTORCH = 2**30


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


def check_address_space() -> None:
    """See that `ulimit -v` leaves enough to import PyTorch and to compile a small step, where it is yet to be imported.

    Once it is on its way it is too late: PyTorch and LLVM end the process where they get no memory.

    Raises:
        InputError: it does not; in one line that says how much is left and how much is needed.
    """
    left = _process_limit()
    if left < _PYTORCH and "torch" not in sys.modules:
        raise InputError(
            f"PyTorch and training need {_PYTORCH >> 20:,} MiB of memory, and `ulimit -v` leaves "
            f"{max(0, int(left)) >> 20:,} MiB: raise that limit, or lift it with `ulimit -v unlimited`"
        )


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
