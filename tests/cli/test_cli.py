"""The command line as a person uses it: in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from command_line import COMMAND, ravine

STUDY = """
name = "small"
data = "iris"
model = { kind = "mlp", hidden = [8] }
steps = 40
batch_size = 16
seeds = 2
[[rules]]
kind = "momentum"
lr = [0.01, 0.1]
[[rules]]
kind = "adam"
lr = [0.001, 0.01]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the small study has been run."""
    path = tmp_path_factory.mktemp("cli")
    (path / "small.toml").write_text(STUDY)
    done = ravine(path, "run", "small.toml")
    assert done.returncode == 0, done.stderr
    return path


def test_run_prints_the_verdict_and_writes_the_report(folder: Path) -> None:
    again = ravine(folder, "run", "small.toml", "--report", "page.html")
    assert again.returncode == 0, again.stderr
    assert "8 of them known already" in again.stderr
    assert "momentum" in again.stdout
    assert "adam" in again.stdout
    assert (folder / "runs" / "small.html").stat().st_size > 1_000_000
    assert "small" in (folder / "page.html").read_text(encoding="utf-8")


def test_a_report_that_cannot_be_written_does_not_hide_the_verdict(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(STUDY)
    (tmp_path / "runs" / "small.html").mkdir(parents=True)  # where the report goes by default
    done = ravine(tmp_path, "run", "small.toml", "--quiet", "--set", "steps=3", "--set", "seeds=1")
    assert done.returncode == 2
    assert "small.html: cannot be written" in done.stderr
    assert "momentum" in done.stdout
    assert "report:" not in done.stdout


def test_json_is_one_object_with_the_promised_keys(folder: Path) -> None:
    done = ravine(folder, "run", "small.toml", "--json")
    found = json.loads(done.stdout)
    assert {
        "study",
        "runs",
        "diverged",
        "seconds",
        "backend",
        "rules",
        "best",
        "separable",
        "warnings",
    } <= set(found)
    assert found["study"] == "small"
    assert found["runs"] == 8
    for rule in found["rules"]:
        assert {"rule", "lr", "val_accuracy", "test_accuracy", "ci"} <= set(rule)
        low, high = rule["ci"]
        assert 0 <= low <= rule["test_accuracy"] <= high <= 1
    assert done.stderr == ""


def test_list_show_report_replay_check(folder: Path) -> None:
    listed = json.loads(ravine(folder, "list", "--json").stdout)
    assert [(s["study"], s["runs"], s["done"] + s["diverged"]) for s in listed] == [("small", 8, 8)]
    assert "small" in ravine(folder, "list").stdout
    shown = ravine(folder, "show", "small")
    assert "iris" in shown.stdout
    table = json.loads(ravine(folder, "show", "small", "--json").stdout)["table"]
    assert len(table) == 8
    run_id = str(table[0]["run"])
    assert "momentum" in ravine(folder, "show", run_id[:8]).stdout
    one = json.loads(ravine(folder, "show", run_id, "--json").stdout)
    assert one["id"] == run_id
    assert one["studies"] == ["small"]
    figure = ravine(folder, "report", "small", "--figure", "lr", "--out", "lr.html")
    assert figure.returncode == 0, figure.stderr
    assert (folder / "lr.html").exists()
    replayed = json.loads(ravine(folder, "replay", run_id, "--json").stdout)
    assert replayed["run"] == run_id
    assert replayed["largest"] < 1e-4
    assert "differ by" in ravine(folder, "replay", run_id).stdout or replayed["largest"] == 0
    assert ravine(folder, "check").stdout == "runs: sound\n"


@pytest.mark.slow
def test_relative_paths_start_at_the_study_file(tmp_path: Path) -> None:
    """As docs/data.md says, of a replay too."""
    beside = tmp_path / "beside"
    beside.mkdir()
    rows = [f"{i % 7},{i % 5},{'pq'[i % 2]}" for i in range(60)]
    (beside / "rows.csv").write_text("\n".join(["a,b,y", *rows]))
    data = 'data = { kind = "csv", path = "rows.csv", target = "y" }'
    study = STUDY.replace('data = "iris"', data).replace("seeds = 2", "seeds = 1")
    (beside / "small.toml").write_text(study)
    done = ravine(tmp_path, "run", "beside/small.toml", "--json")
    assert done.returncode == 0, done.stderr
    run_id = json.loads(ravine(tmp_path, "show", "small", "--json").stdout)["table"][0]["run"]
    assert ravine(tmp_path, "replay", run_id).returncode == 0  # the file is where the launch had it
    refused = ravine(tmp_path / "runs", "replay", run_id, "--store", ".").stderr
    assert (
        "study 'small' in the store, its file not found: data.path = 'rows.csv': there is no such" in refused
    )
    assert ravine(tmp_path, "replay", run_id, "--study", "beside/small.toml").returncode == 0
    assert ravine(beside, "replay", run_id, "--store", "../runs").returncode == 0


def test_delete_removes_a_study(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(STUDY)
    assert (
        ravine(tmp_path, "run", "small.toml", "--set", "steps=3", "--set", "seeds=1", "--quiet").returncode
        == 0
    )
    assert "deleted with 4 runs" in ravine(tmp_path, "delete", "small").stdout
    assert json.loads(ravine(tmp_path, "list", "--json").stdout) == []


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["run", "nope.toml"], "ravine: nope.toml: no such study file"),
        (["run", "small.toml", "--set", "epoch=3"], "epoch"),
        (["run", "small.toml", "--set", "rules.0.lr=0"], "lr"),
        (["run", "small.toml", "--set", "rules.0.lr=-1"], "lr"),
        (["run", "small.toml", "--set", "rules.0.lr=nan"], "lr"),
        (["run", "small.toml", "--set", 'rules.0.kind="adma"'], "did you mean 'adam'"),
        (["run", "small.toml", "--set", 'data="digit"'], "did you mean 'digits'"),
        (["run", "small.toml", "--set", "batch_size=1000"], "batch_size"),
        (["run", "small.toml", "--set", "steps=41"], "small"),  # another definition under the same name
        (["run", "small.toml", "--set", 'data={kind="csv",path="no.csv",target="y"}'], "no.csv"),
        (["run", "small.toml", "--store", "small.toml"], "small.toml"),
        (["list", "--store", "nowhere"], "nowhere"),
        (["show", "smal"], "did you mean 'small'"),
        (["show", "0000"], "0000"),
        (["report", "small", "--figure", "lrr"], "did you mean 'lr'"),
        (["replay", "ffff"], "ffff"),
        (["run", "small.toml", "--report", "nowhere/page.html"], "nowhere"),
        (["run", "small.toml", "--report", "x" * 300], "cannot be written: File name too long"),
        (
            ["run", "small.toml", "--report", "x" * 300 + "/page.html"],
            "cannot be written: File name too long",
        ),
        (["run", "small.toml", "--report", "runs", "--set", "seeds=9"], "--report runs: is a folder"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(folder: Path, args: list[str], told: str) -> None:
    before = sorted(p.name for p in (folder / "runs" / "blocks").iterdir())
    done = ravine(folder, *args)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("ravine: ")
    assert told in done.stderr
    assert sorted(p.name for p in (folder / "runs" / "blocks").iterdir()) == before


@pytest.mark.parametrize(
    "args",
    [["frobnicate"], ["run"], ["run", "small.toml", "--nope"], ["run", "small.toml", "--device", "tpu"]],
)
def test_a_wrong_command_line_exits_with_2(folder: Path, args: list[str]) -> None:
    done = ravine(folder, *args)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_help_does_not_import_torch() -> None:
    code = (
        "import sys; from ravine.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


@pytest.mark.slow
def test_every_run_diverging_is_a_result(tmp_path: Path) -> None:
    (tmp_path / "wild.toml").write_text(
        'name = "wild"\ndata = "diabetes"\nmodel = { kind = "mlp", hidden = [8] }\nsteps = 60\nseeds = 2\n'
        '[[rules]]\nkind = "sgd"\nlr = [1e10, 1e12]\n'
    )
    done = ravine(tmp_path, "run", "wild.toml")
    assert done.returncode == 0, done.stderr
    assert "diverged" in done.stdout
    assert "smaller" in done.stdout.lower()
    found = json.loads(ravine(tmp_path, "run", "wild.toml", "--json").stdout)
    assert found["diverged"] == 4
    assert found["best"] is None


def test_check_tells_every_problem_of_a_study_and_trains_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("print('imported')\nclass Net: pass\n")
    broken = STUDY.replace('"iris"', '{ kind = "csv", path = "no.csv", target = "y" }')
    broken = broken.replace("steps = 40", "step = 40").replace("seeds = 2", "seeds = 0")
    (tmp_path / "small.toml").write_text(broken)
    done = ravine(tmp_path, "check", "small.toml", "--set", "model=mine:Nett")
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["small.toml:", "step:"],
        ["small.toml:", "seeds"],
        ["small.toml:", "data.path"],
        ["small.toml:", "model.target"],
    ]
    assert "did you mean 'Net'" in lines[-1]
    assert done.returncode == 2
    assert done.stderr.endswith("ravine: small.toml: 4 problems found\n")
    (tmp_path / "small.toml").write_text(STUDY)
    sound = ravine(tmp_path, "check", "small.toml")
    assert (sound.returncode, sound.stdout) == (0, "small.toml: sound\n")
    large = ravine(tmp_path, "check", "small.toml", "--set", "batch_size=1000")
    assert (large.returncode, large.stdout.split(":")[1]) == (2, " batch_size = 1000")
    assert not (tmp_path / "runs").exists()


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit")
@pytest.mark.parametrize(
    ("megabytes", "words", "line"),
    [
        (
            400,
            ["run", "small.toml"],
            "PyTorch and training need 1,024 MiB of memory, and `ulimit -v` leaves ",
        ),
        pytest.param(
            1000,
            ["run", "small.toml"],
            "PyTorch and training need 1,024 MiB of memory, and `ulimit -v` leaves ",
            marks=pytest.mark.slow,
        ),
        (400, ["show", "small"], "no store at 'runs'"),  # takes no PyTorch
    ],
)
def test_too_little_memory_is_one_line(
    tmp_path: Path, megabytes: int, words: Sequence[str], line: str
) -> None:
    (tmp_path / "small.toml").write_text(STUDY)
    done = subprocess.run(
        ["prlimit", f"--as={megabytes}000000", *COMMAND, *words],
        cwd=tmp_path, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # each thread takes 40 MB
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(f"ravine: {line}")
    assert done.stderr.count("\n") == 1
