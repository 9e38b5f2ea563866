"""PyTorch's largest library, loaded ahead: beside Python's other imports, by a thread of its own.

To load it takes a seventh of what importing PyTorch takes, and Python's import holds the interpreter's lock all the
while. A call through ctypes does not.
"""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

from ravine.errors import InputError
from ravine.host_memory import check_address_space


def load_pytorch() -> Thread | None:
    """Begin to load the library for whoever imports PyTorch soon; if it isn't loaded by then, they wait for it.

    Whatever hinders it is no fault here: the import finds it again, and says it.

    Returns:
        The thread that loads it; None where it does not: on other systems than Linux, without PyTorch, or where PyTorch
        is imported already or has too little address space.
    """
    if sys.platform != "linux" or "torch" in sys.modules:
        return None
    found = find_spec("torch")
    library = Path(found.origin).with_name("lib") / "libtorch_cpu.so" if found and found.origin else None
    try:
        check_address_space()
    except InputError:
        return None
    if library is None or not library.exists():
        return None
    thread = Thread(target=_load, args=(os.fsencode(library),), name="ravine-ahead", daemon=True)
    thread.start()
    return thread


def _load(library: bytes) -> None:
    ctypes.CDLL(None).dlopen(library, os.RTLD_NOW)
