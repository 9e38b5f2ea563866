"""Trains studies with the ravine that this process finds: train.py FOLDER STUDY:BACKEND ...

Each STUDY.toml is a file in the folder. Stores are named STUDY-BACKEND; a study whose store is there already goes on
from there.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import traceback
from pathlib import Path

import torch  # once, for all the processes that are forked


def run(folder: Path, study: str, backend: str) -> int:
    """The exit code of ``ravine run``, in a process of its own: the command ends the one that it runs in."""
    torch.set_num_threads(1)
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    file, store = folder / f"{study}.toml", folder / f"{study}-{backend}"
    sys.argv = ["ravine", "run", str(file), "--store", str(store), "--backend", backend, "--quiet"]
    try:
        runpy.run_module("ravine", run_name="__main__")
    except BaseException:  # noqa: BLE001 (the command ends the process itself, unless it could not even begin)
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for the child
    codes = [run(Path(sys.argv[1]), *job.rsplit(":", 1)) for job in sys.argv[2:]]
    sys.exit(max((abs(code) for code in codes), default=0))
