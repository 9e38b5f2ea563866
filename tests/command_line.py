"""The command line in processes that start at once: forks of one that has imported PyTorch already.

What a new process does otherwise than a fork (imports, signals, streams that are closed) is tested with new processes.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import IO

COMMAND = [sys.executable, "-m", "ravine"]
TIMEOUT_SECONDS = 300


def ravine(folder: Path, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a folder."""
    if not hasattr(os, "fork"):
        return subprocess.run(
            [*COMMAND, *args],
            cwd=folder,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=TIMEOUT_SECONDS,
            check=False,
            env={**os.environ, **environment},
        )
    with tempfile.TemporaryDirectory() as place:
        asked = {
            "folder": str(folder),
            "args": args,
            "environment": {**os.environ, **environment},
            "place": place,
        }
        code = _server().ask(asked)
        out, err = (
            (Path(place) / name).read_bytes().decode("utf-8").replace("\r\n", "\n") for name in ("out", "err")
        )
    return subprocess.CompletedProcess([*COMMAND, *args], code, out, err)


class _Server:
    """A process that forks."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        atexit.register(self._process.terminate)

    def ask(self, question: dict[str, object]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@cache
def _server() -> _Server:
    return _Server()


def _serve() -> None:
    import ravine
    from ravine.cli import entry

    for name in ravine.__all__:
        getattr(ravine, name)
    for module in ("sqlalchemy.dialects.sqlite", "ravine.engine.plan", "ravine.report.page", "rich.progress"):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(asked)
            entry()
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _become(asked: dict[str, object]) -> None:
    """In a fork: be as a new process would be."""
    import signal

    signal.alarm(TIMEOUT_SECONDS)
    place = Path(str(asked["place"]))
    os.chdir(str(asked["folder"]))
    os.environ.clear()
    os.environ.update(asked["environment"])
    for number, path, flags in (
        (0, Path(os.devnull), os.O_RDONLY),
        (1, place / "out", os.O_WRONLY | os.O_CREAT),
        (2, place / "err", os.O_WRONLY | os.O_CREAT),
    ):
        os.dup2(os.open(path, flags, 0o600), number)
    encoding = os.environ.get("PYTHONIOENCODING", "utf-8")
    sys.stdin, sys.stdout = _stream(0, "r", encoding, "strict"), _stream(1, "w", encoding, "strict")
    sys.stderr = _stream(2, "w", encoding, "backslashreplace")
    sys.stderr.reconfigure(write_through=True)
    sys.path[0] = str(Path.cwd())
    sys.argv = ["ravine", *asked["args"]]


def _stream(number: int, mode: str, encoding: str, errors: str) -> IO[str]:
    return open(number, mode, encoding=encoding, errors=errors)


if __name__ == "__main__":
    _serve()
