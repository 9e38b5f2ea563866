"""Windows has no `fcntl`, `resource` or `pwd`: a process without them gives help, checks, trains, reports and locks.

What Windows has in their place is `msvcrt`; here `os.lockf` plays its one function.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WINDOWS = """
import asyncio, os, subprocess, sys, tempfile, types  # first: the standard library looks for msvcrt itself
for name in ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog"):
    sys.modules[name] = None  # importing it now fails
for name in ("pread", "pwrite", "sysconf", "sysconf_names", "sched_getaffinity", "fork", "geteuid", "getuid"):
    if hasattr(os, name):
        delattr(os, name)

def locking(descriptor, mode, count):
    os.lockf(descriptor, mode, count)  # from where the descriptor is, as on Windows

sys.modules["msvcrt"] = types.SimpleNamespace(LK_UNLCK=os.F_ULOCK, LK_NBLCK=os.F_TLOCK, locking=locking)
"""

TRAINS = f"""{WINDOWS}
import contextlib
import ravine
from ravine.cli import main
with contextlib.suppress(SystemExit):
    main(["--help"])
print([main(words) for words in (["check", "tiny.toml"], ["run", "tiny.toml"], ["check"])])
with ravine.Store("runs") as store, store.lock("tiny"):
    print("locked", flush=True)
    sys.stdin.read()
"""

DELETES = f"""{WINDOWS}
from ravine.cli import main
for line in sys.stdin:
    print(main(["delete", "tiny"]), flush=True)
"""

STUDY = """
name = "tiny"
data = "iris"
model = { kind = "mlp", hidden = [4] }
steps = 20
seeds = 2
rules = [{ kind = "sgd", lr = [0.1, 0.5] }]
"""


@pytest.mark.slow
def test_a_process_without_unix_modules_does_everything(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(STUDY)

    def start(code: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [sys.executable, "-c", code], cwd=tmp_path, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )

    with start(TRAINS) as first, start(DELETES) as second:
        try:
            assert first.stdout is not None
            assert second.stdin is not None
            assert second.stdout is not None
            said = "".join(iter(first.stdout.readline, "locked\n"))
            assert "usage: ravine" in said
            assert "[0, 0, 0]" in said
            assert (tmp_path / "runs" / "tiny.html").exists()
            second.stdin.write("delete\n")
            second.stdin.flush()
            assert second.stdout.readline() == "2\n"
            first.kill()
            first.wait()
            answer, error = second.communicate("delete\n", timeout=300)
        finally:
            first.kill()
            second.kill()
    deleted, stays, code = answer.splitlines()
    assert (deleted, code) == ("tiny: deleted with 4 runs", "0")
    assert stays.startswith("  its report stays: ")
    assert f"process {first.pid} since" in error
