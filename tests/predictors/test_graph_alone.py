"""In a fresh environment with onnxruntime alone, the lines of the documentation reproduce a predictor's numbers."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from graphs import HEADER, mixed, predictor_of, raw_columns, rows
from ravine.nn.spec import MLP
from ravine.predictors.graph.door import write_graph

pytest.importorskip("onnxscript")
pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "onnx.md"
SAYS = "\nimport json; print(json.dumps([probabilities.tolist(), labels.tolist()]))\n"


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """An interpreter that has onnxruntime and what that needs."""
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    done = subprocess.run(
        [python, "-m", "pip", "install", "-q", "onnxruntime"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"pip cannot install onnxruntime here: {done.stderr.splitlines()[-1:]}")
    for absent in ("torch", "ravine", "onnx"):
        assert subprocess.run(
            [python, "-I", "-c", f"import {absent}"], capture_output=True, check=False
        ).returncode
    return python


def test_the_lines_of_the_documentation(python, tmp_path):
    made = predictor_of(mixed(tmp_path), MLP(hidden=(16,), norm="layer"), 3, temperature=1.3)
    write_graph(made, tmp_path / "model.onnx")
    (lines,) = re.findall(
        r'^```python title="predict.py"\n(.*?)^```$', PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    script = tmp_path / "predict.py"
    script.write_text(
        lines.replace("model/model.onnx", "model.onnx")
        .replace("examples/customers.csv", "new.csv")
        .replace("print(labels[:4], probabilities.shape)\n", "")
        + SAYS
    )
    table = list(rows(128, seed=5))
    table[7][2] = "a colour that training has not seen"
    for size in (1, 3, 128):
        with (tmp_path / "new.csv").open("w", newline="", encoding="utf-8-sig") as file:
            csv.writer(file).writerows([HEADER, *table[:size]])
        done = subprocess.run(
            [python, "-I", script], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        p, labels = json.loads(done.stdout)
        said = made.predict(raw_columns(table[:size], made.preparation.inputs))
        assert np.abs(np.array(p) - said.p).max() <= 1e-5
        assert tuple(labels) == said.names
