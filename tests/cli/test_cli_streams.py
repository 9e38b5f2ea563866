"""Output, signals, usage: what a shell, a pipe and a script see of the command line."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from command_line import COMMAND, ravine
from ravine.launch.launch import launch
from ravine.launch.progress import Progress
from ravine.launch.writer import Timing
from ravine.store import Store
from ravine.study import parse_definition

STUDY = """
name = "small"
data = "iris"
model = { kind = "mlp", hidden = [8] }
steps = 40
batch_size = 16
seeds = 2
[[rules]]
kind = "adam"
label = "ädam"
lr = [0.001, 0.01]
"""
LONG = STUDY.replace("steps = 40", "steps = 1000000000")


def interruptible() -> None:
    """In a new process: a test run in the background of a shell has Ctrl-C ignored, and its children would too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the study has been run."""
    path = tmp_path_factory.mktemp("streams")
    (path / "s.toml").write_text(STUDY, encoding="utf-8")
    done = ravine(path, "run", "s.toml")
    assert done.returncode == 0, done.stderr
    return path


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["rum", "x"], "ravine: rum: no such command; did you mean 'run'? Allowed: augment, average, check,"),
        ([], "ravine: a command is missing; allowed: augment, average, check, "),
        (["run"], "ravine: STUDY.toml is missing; see ravine run --help"),
        (["run", "x", "--stoer", "y"], "did you mean --store?; see ravine run --help"),
        (
            ["run", "x", "--device", "gpu"],
            "--device gpu: must be one of auto, cpu, cuda, mps; see ravine run",
        ),
        (["run", "x", "--store"], "--store: its value is missing, FOLDER; see ravine run --help"),
        (["run", "x", "--store", "--quiet"], "--store: its value is missing, FOLDER; see ravine run --help"),
        (["run", "x", "--quiet=yes"], "--quiet=yes: --quiet takes no value; see ravine run --help"),
        (["run", "x", "-q"], "-q: no such option; see ravine run --help"),
        (["lr", "x", "--low", "y"], "--low y: must be a number; see ravine lr --help"),
        (["lr", "x", "--steps", "1.5"], "--steps 1.5: must be a whole number; see ravine lr --help"),
        (["lr", "a.toml", "--store", "b"], "ravine: --store: no such option; see ravine lr --help"),
        (["report", "a", "b"], "ravine: b: not expected here; see ravine report --help"),
    ],
)
def test_wrong_usage_is_one_line(tmp_path: Path, args: list[str], told: str) -> None:
    done = ravine(tmp_path, *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert told in done.stderr


def test_version(tmp_path: Path) -> None:
    done = ravine(tmp_path, "--version")
    assert (done.returncode, done.stdout[:7]) == (0, "ravine ")


@pytest.mark.slow
@pytest.mark.parametrize("args", [["show", "small"], ["show", "small", "--json"]])
def test_a_terminal_without_the_letters_gets_others(folder: Path, args: list[str]) -> None:
    done = ravine(folder, *args, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    if "--json" in args:
        assert json.loads(done.stdout)["rules"][0]["rule"] == "ädam"
    else:
        assert "\\xe4dam" in done.stdout


def test_lines_in_a_pipe_are_whole_and_without_control_characters(folder: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    shown = subprocess.run(
        [*COMMAND, "show", "small"], cwd=folder, env=environment, capture_output=True, check=True
    ).stdout.decode()
    assert "\x1b" not in shown
    assert any(line.startswith("ädam (lr") and line.endswith(".") for line in shown.splitlines()), shown


def test_lines_in_a_pipe_have_no_spaces_at_their_ends(folder: Path) -> None:
    lines = ravine(folder, "show", "small").stdout.splitlines()
    assert len(lines) > 10
    assert [line for line in lines if line != line.rstrip()] == []


@pytest.mark.parametrize(
    ("args", "closed", "code"),
    [(["show", "small"], ">&-", 0), (["run", "s.toml"], ">&- 2>&-", 0), (["show", "no"], "2>&-", 2)],
)
def test_a_stream_that_is_closed_from_the_start_is_no_error(
    folder: Path, args: list[str], closed: str, code: int
) -> None:
    command = shlex.join([*COMMAND, *args])
    done = subprocess.run(
        ["bash", "-c", f"{command} {closed}"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (code, "", False)


def test_a_report_on_standard_output_is_utf_8_whatever_the_terminal_has(folder: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    page = subprocess.run(
        [*COMMAND, "report", "small", "--out", "-"],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=True,
    ).stdout.decode("utf-8")
    assert "ädam" in page
    assert "\\xe4dam" not in page


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the device of a full disk")
@pytest.mark.parametrize("args", [["list"], ["list", "--json"], ["report", "small", "--out", "-"]])
def test_output_that_cannot_be_written_is_told(folder: Path, args: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, *args], cwd=folder, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (2, "ravine: standard output: No space left on device\n")


def test_a_reader_that_has_seen_enough_is_no_error(folder: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "report", "small", "--out", "-"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(15) == b"<!doctype html>"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_what_a_module_prints_does_not_spoil_json(tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(
        "import torch\nprint('imported')\nclass Net(torch.nn.Linear):\n"
        "    def __init__(self):\n        super().__init__(4, 3)\n        print('made')\n"
    )
    (tmp_path / "s.toml").write_text(
        STUDY.replace('{ kind = "mlp", hidden = [8] }', '{ kind = "module", target = "noisy:Net" }'),
        encoding="utf-8",
    )
    done = ravine(tmp_path, "run", "s.toml", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["runs"] == 4
    assert "made" in done.stderr


def test_a_module_that_raises_amid_training_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "frail.py").write_text(
        "import torch\nclass Net(torch.nn.Linear):\n"
        "    def __init__(self):\n        super().__init__(4, 3)\n        self.calls = 0\n"
        "    def forward(self, x):\n        self.calls += 1\n"
        "        if self.calls > 30:\n            raise ValueError('worn out')\n"
        "        return super().forward(x) * (1 + 0 * float(x.detach().sum()))\n"
    )
    (tmp_path / "s.toml").write_text(
        STUDY.replace('{ kind = "mlp", hidden = [8] }', '{ kind = "module", target = "frail:Net" }'),
        encoding="utf-8",
    )
    done = ravine(tmp_path, "run", "s.toml", "--backend", "serial", "--quiet")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "ValueError: worn out (" in done.stderr
    assert "frail.py:9)" in done.stderr
    whole = ravine(tmp_path, "run", "s.toml", "--backend", "serial", "--quiet", "--traceback").stderr
    assert "Traceback (most recent call last)" in whole
    assert "raise ValueError('worn out')" in whole
    assert whole.endswith(done.stderr)


def test_a_module_that_exits_is_told(tmp_path: Path) -> None:
    (tmp_path / "gone.py").write_text("raise SystemExit('no licence')\n")
    (tmp_path / "s.toml").write_text(STUDY.replace('{ kind = "mlp", hidden = [8] }', '"gone:Net"'))
    done = ravine(tmp_path, "run", "s.toml")
    assert done.returncode == 2
    assert "no licence" in done.stderr


@pytest.mark.parametrize(("ended", "code"), [("0", 2), ("7", 7), ("'no licence'", 2)])
def test_a_module_that_exits_amid_training_is_told(tmp_path: Path, ended: str, code: int) -> None:
    (tmp_path / "quitting.py").write_text(
        "import sys, torch\nclass Net(torch.nn.Linear):\n"
        "    def __init__(self):\n        super().__init__(4, 3)\n"
        f"    def forward(self, x):\n        sys.exit({ended})\n"
    )
    (tmp_path / "s.toml").write_text(STUDY.replace('{ kind = "mlp", hidden = [8] }', '"quitting:Net"'))
    done = ravine(tmp_path, "run", "s.toml", "--quiet")
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("ravine: the study's own code ended the program")
    assert done.stderr.count("\n") == 1
    assert ended.strip("'") in done.stderr


def test_a_report_without_a_name_is_refused(folder: Path) -> None:
    done = ravine(folder, "report", "small", "--out", "")
    assert (done.returncode, done.stderr) == (2, "ravine: --out .: is not the name of a file\n")
    for words in (("lr", "small.toml"), ("report", "small"), ("run", "small.toml")):
        option = "--report" if words[0] == "run" else "--out"
        done = ravine(folder, *words, option, "x.pdf")
        assert (done.returncode, done.stderr) == (2, f"ravine: {option} x.pdf: a page must end in .html\n")
    assert not (folder / "x.pdf").exists()


def test_the_plan_is_not_wrapped_in_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "long_reason.py").write_text(
        "import torch\nclass Net(torch.nn.Linear):\n    def __init__(self):\n        super().__init__(4, 3)\n"
        "    def forward(self, x):\n        return super().forward(x) * (1 + 0 * x.detach().sum().item())\n"
    )
    (tmp_path / "s.toml").write_text(STUDY.replace('{ kind = "mlp", hidden = [8] }', '"long_reason:Net"'))
    lines = ravine(tmp_path, "run", "s.toml").stderr.splitlines()
    assert any(line.endswith("with .item() or the like)") for line in lines)
    assert all(line.startswith(("small: ", "  ")) for line in lines), lines


@pytest.mark.parametrize(
    ("numbers", "codes"),
    [
        pytest.param([signal.SIGINT], {130}, marks=pytest.mark.slow),
        ([signal.SIGINT, signal.SIGINT, signal.SIGINT], {130}),  # a hasty hand loses nothing
        pytest.param(
            [signal.SIGTERM], {143}, marks=pytest.mark.slow
        ),  # tests/report/test_report_watch.py is quick
        # Where both are waiting Python takes SIGINT first.
        pytest.param([signal.SIGTERM, signal.SIGINT], {143, 130}, marks=pytest.mark.slow),
        pytest.param([signal.SIGHUP], {129}, marks=pytest.mark.slow),
    ],
)
def test_a_signal_keeps_what_was_done_and_an_unfinished_study_is_shown(
    tmp_path: Path, numbers: list[int], codes: set[int]
) -> None:
    (tmp_path / "s.toml").write_text(LONG, encoding="utf-8")
    with subprocess.Popen(
        [*COMMAND, "run", "s.toml"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=interruptible,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "expected time" in line:  # by then steps have been done
                break
        held = json.loads(ravine(tmp_path, "show", "small", "--json").stdout)
        assert f"process {process.pid}" in held["holder"]
        for number in numbers:
            process.send_signal(number)
            time.sleep(0.01)
        told = process.stderr.read()
    assert process.returncode in codes
    assert told.endswith("ravine: interrupted; the same command continues from here\n")
    shown = ravine(tmp_path, "show", "small").stdout
    assert "4: 0 done, 0 diverged, 4 in training (" in shown.replace("\n", " ")
    assert "nobody at present" in shown
    assert shown.count("at step ") == 4
    found = json.loads(ravine(tmp_path, "show", "small", "--json").stdout)
    assert (found["runs"], found["done"], found["begun"], found["holder"]) == (4, 0, 4, None)


@pytest.mark.slow
def test_runs_under_way_are_shown_with_their_last_score(tmp_path: Path) -> None:
    text = STUDY.replace("steps = 40", "steps = 400000\nevaluations = 400")  # it is stopped long before
    often = Timing(tick_seconds=0.0, checkpoint_seconds=0.0)
    with Store(tmp_path / "runs") as store:
        events = launch(parse_definition(text), store, definition=text, timing=often)
        for event in events:
            if isinstance(event, Progress) and event.run_steps:
                ids = [run.id for run in store.runs("small")]
                if all(len(steps) > 1 for steps, _ in store.curves(ids, "validation_accuracy").values()):
                    break
        found = json.loads(ravine(tmp_path, "show", "small", "--json").stdout)
        shown = ravine(tmp_path, "show", "small").stdout
        events.close()  # type: ignore[attr-defined]
    assert f"process {os.getpid()}" in found["holder"]
    scores = found["so_far"]["validation_accuracy"]
    assert len(scores) == 4
    assert all(0.5 < score <= 1 for score in scores.values())
    assert all(f"{100 * score:.2f} %" in shown for score in scores.values())


def test_a_dry_run_deletes_nothing(folder: Path) -> None:
    done = ravine(folder, "delete", "small", "--dry-run")
    assert (done.returncode, done.stdout) == (
        0,
        f"small: would be deleted with 4 runs\n  its report stays: {folder / 'runs' / 'small.html'}\n",
    )
    assert "small" in ravine(folder, "list").stdout
