"""Launches a study, kills it with SIGKILL at random moments, launches it again, and so on to its end.

Run as ``python killing.py FOLDER SEED NUM_KILLS NUM_STEPS KIND``, where the study is "plain", or has "phases" or
"folds": this process imports torch once and forks what it kills. Prints as JSON how often it killed, and a hash of what
each run left; and the same of a launch left in peace.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "engine"))

import numpy as np
import torch
from engine_runs import dataset, study
from launches import contents, run_all

from ravine.data import from_arrays
from ravine.launch.writer import Timing
from ravine.store import Store
from ravine.study import Study


def folded(num_steps: int) -> Study:
    x = np.random.default_rng(0).standard_normal((98, 5))
    return study(
        data=from_arrays(x, np.arange(98) % 3, split={"folds": 2}),
        model={"kind": "mlp", "hidden": [9], "norm": "batch"},
        rules=[{"kind": "adam", "lr": [0.001, 0.01]}, {"kind": "nesterov", "lr": [0.02, 1e20]}],
        steps=num_steps,
        evaluations=50,
        dropout=0.2,
        schedule={"kind": "cosine"},
    )


def study_of(num_steps: int, kind: str) -> Study:
    if kind == "folds":
        return folded(num_steps)
    phased = kind == "phases"
    half = num_steps // 2
    phases = [{"train": "head", "steps": half, "lr": 0.001}, {"train": "all", "steps": half}]
    return study(
        data=dataset("wine"),
        model={"kind": "mlp", "hidden": [9], "norm": "batch"},
        rules=[{"kind": "adam", "lr": [0.001, 0.01]}, {"kind": "nesterov", "lr": [0.02, 1e20]}],
        steps=None if phased else num_steps,
        phases=phases if phased else (),
        batch_size=[13, 20],
        evaluations=50,
        dropout=0.2,
        schedule={"kind": "cosine"},
        keep={"every": num_steps // 21},
        averages={
            "ema": [0.9, 0.999],
            "polyak": {"from": 0.3},
            "swa": {"from": 0.2, "every": 5},
            "bank": True,
        },
    )


OFTEN = Timing(checkpoint_seconds=0.03, checkpoint_share=0.5)


def launch_in_child(root: Path, made: Study) -> int:
    """Fork a process that launches the study; returns its id."""
    child = os.fork()
    if child == 0:
        try:
            with Store(root) as store:
                run_all(made, store, timing=OFTEN)
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 (told to the parent by the exit code)
            sys.stderr.write(repr(error))
            os._exit(1)
    return child


def main(root: Path, seed: int, num_kills: int, num_steps: int, kind: str) -> dict[str, object]:
    torch.set_num_threads(1)
    draw, made = random.Random(seed), study_of(num_steps, kind)
    with Store(root / "warm") as store:  # forks have imported and compiled all that it takes
        run_all(study_of(100, kind), store, timing=OFTEN)
    began = time.perf_counter()
    with Store(root / "peace") as store:
        run_all(made, store, timing=OFTEN)
    # Even on a machine that gets faster, kills hit a training.
    longest = (time.perf_counter() - began) / (num_kills + 1)
    kills, resumed = 0, 0
    while True:
        child = launch_in_child(root / "killed", made)
        if kills < num_kills:
            time.sleep(draw.uniform(0.02, longest))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            kills += 1
            with Store(root / "killed") as store:
                resumed += (
                    any(record.step for record in store.runs("small", all=True)) if store.studies() else 0
                )
        elif os.WEXITSTATUS(status) == 0:
            break
        else:
            raise SystemExit("the launch failed")
    with Store(root / "killed") as store:
        sound = store.check()
    return {
        "kills": kills,
        "with_progress": resumed,
        "check": sound,
        "killed": contents(root / "killed", "small"),
        "peace": contents(root / "peace", "small"),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), *map(int, sys.argv[2:5]), sys.argv[5])))
