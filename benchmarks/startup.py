"""How long `ravine run` takes with nothing to train, beside `import torch`: pairs, one after the other.

python benchmarks/startup.py --pairs 15
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STUDY = """
name = "small"
data = "iris"
model = { kind = "mlp", hidden = [4] }
steps = 20
seeds = 3
[[rules]]
kind = "sgd"
lr = [0.01, 0.1]
[[rules]]
kind = "adam"
lr = [0.01, 0.1]
"""
RAVINE = (sys.executable, "-m", "ravine")
TORCH = (sys.executable, "-c", "import torch")
COMMANDS = {
    "run, nothing to train": (*RAVINE, "run", "small.toml"),
    "the same with --json": (*RAVINE, "run", "small.toml", "--json"),
    "show": (*RAVINE, "show", "small"),
    "list": (*RAVINE, "list"),
    "--help": (*RAVINE, "--help"),
}


def timed(command: tuple[str, ...], folder: str) -> tuple[float, float]:
    """Seconds of processor time, and of the clock."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return used.ru_utime + used.ru_stime, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15)
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "small.toml").write_text(STUDY)
        timed(COMMANDS["run, nothing to train"], folder)  # trains
        for name, command in COMMANDS.items():
            found = [(timed(command, folder), timed(TORCH, folder)) for _ in range(pairs)]
            for what, place in (("processor", 0), ("clock", 1)):
                ours, torch, ratios = (
                    [own[place] for own, _ in found],
                    [other[place] for _, other in found],
                    sorted(own[place] / other[place] for own, other in found),
                )
                low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
                print(
                    f"{name:22} {what:9} {statistics.median(ours):.2f} s; import torch "
                    f"{statistics.median(torch):.2f} s; ratio {statistics.median(ratios):.2f} "
                    f"({low:.2f} to {high:.2f}, middle half of {pairs})"
                )


if __name__ == "__main__":
    main()
